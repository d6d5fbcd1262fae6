"""Hostile texts in a browser while they arrive: each moment of them, with scripts and without."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from e2e.chat import Chat
from e2e.probe import Probe
from e2e.server import Server
from tests.hostile import FAMILIES, family, messages
from tests.upstream import PAUSE, Upstream

# `tests/test_hostile_corpus.py` reads every moment of every text; in a browser that would take minutes.
FEW = [text for name in FAMILIES for text in family(name)[:: 8 if name in ("htmx", "ours") else 24]]


@pytest.fixture
def server(tmp_path: Path, upstream: Upstream) -> Iterator[Server]:
    """The application, showing each piece of an answer by itself."""
    with Server(tmp_path, module="e2e.paced", openai_base_url=upstream.url, model="scripted") as server:
        yield server


@pytest.mark.fault(12)
@pytest.mark.parametrize("part", range(3))
def test_nothing_of_a_hostile_text_acts_at_any_moment(
    new_context: Any, origin: str, upstream: Upstream, part: int
) -> None:
    pages = [new_context(java_script_enabled=scripts).new_page() for scripts in (True, False)]
    probes = [Probe(page, origin) for page in pages]
    chat, plain = map(Chat, pages)
    [text] = messages(FEW[part::3])
    upstream.will_say("Look.", PAUSE, "\n\n", *text, "\n\n~~~\n\nSeen.")
    chat.open()
    chat.send("Hi")
    expect(chat.text).to_have_text("Look.")
    pages[1].goto("/conversations/1/live", wait_until="commit")
    expect(plain.text).to_have_text("Look.")
    upstream.go_on()

    for one in (chat, plain):
        expect(one.answer.locator(".ending")).to_be_visible(timeout=40_000)
        one.expect_complete()

    streamed = [page.locator(".prose:visible .block:visible").all_inner_texts() for page in pages]
    for page, probe, seen in zip(pages, probes, streamed, strict=True):
        assert probe.check() > 10
        page.reload()
        assert page.locator(".prose:visible .block:visible").all_inner_texts() == seen
        assert probe.check() > 10
    chat.send("Are you still there?")
    expect(chat.text).to_have_text("You said: Are you still there?")
    chat.expect_complete()
    probes[0].check()
