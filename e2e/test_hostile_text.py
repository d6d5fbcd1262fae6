"""Hostile texts in a browser: as prompts and as finished answers, with scripts and without."""

from itertools import cycle
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from app.providers import Delta
from e2e.chat import Chat
from e2e.conftest import Watch
from e2e.probe import Probe
from tests.hostile import DISGUISES, PLACES, everything, messages, placed
from tests.upstream import Upstream

PLAIN = messages(everything())
PLACED = messages(
    placed(place, text) for text, place in zip(everything(), cycle(PLACES), strict=False) if "\n" not in text
)
DISGUISED = messages(
    DISGUISES[disguise](text) for text, disguise in zip(everything(), cycle(DISGUISES), strict=False)
)


@pytest.mark.parametrize(
    ("texts", "scripts"),
    [(PLAIN, True), (PLAIN, False), (PLACED, True), (DISGUISED, True)],
    ids=["scripts", "no scripts", "placed", "disguised"],
)
def test_nothing_of_a_hostile_text_acts(
    new_context: Any, origin: str, upstream: Upstream, texts: list[str], scripts: bool
) -> None:
    page = new_context(java_script_enabled=scripts).new_page()
    probe = Probe(page, origin)
    chat = Chat(page)
    chat.open()
    upstream.will_say(Delta(reasoning="Hm."), "Hello.")
    chat.send("Hello")
    chat.expect_complete()
    page.reload()
    harmless = probe.frame()
    elements = probe.check()

    for text in texts:
        prompt = text.encode("utf-8", "replace").decode()
        chat.open()
        upstream.will_say(Delta(reasoning=text), text)
        chat.send(prompt)
        chat.expect_complete()
        title = page.title()
        assert probe.check() > elements + 200
        page.reload()
        assert probe.check() > elements + 200
        assert probe.frame() == harmless
        assert page.title() == title
        assert title.endswith(" · fastapi-llm")

    chat.send("Are you still there?")
    expect(chat.text).to_have_text("You said: Are you still there?")
    chat.expect_complete()
    probe.check()


def test_markup_that_got_into_a_page_does_nothing_whatever_nonce_it_brings(page: Page, watch: Watch) -> None:
    """Where sanitizing had failed; the header still has the page's own nonce."""
    brought = (
        '<script nonce="x"></script>'
        '<p hx-nonce="x" hx-get="/offline?brought" hx-trigger="load">Brought.</p>'
        '<p hx-get="/offline?bare" hx-trigger="load">Bare.</p>'
    )

    def bring(route: Route) -> None:
        came = route.fetch()
        route.fulfill(response=came, body=came.text().replace("</main>", f"{brought}</main>"))

    watch.allow("[hx-csp] blocked <p>")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.route("**/", bring)
    Chat(page).open()

    expect(page.get_by_text("Brought.")).to_be_visible()
    expect(page.locator("#composer[data-htmx-powered][hx-post]")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert not [url for url in asked if "?" in url]
