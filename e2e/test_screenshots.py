"""Pictures of every page, at phone and desktop width, light and dark, for eyes to judge: screenshots/."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from e2e.chat import Chat
from e2e.server import ROOT, Server
from tests.upstream import PAUSE, Upstream

FOLDER = ROOT / "screenshots"
SIZES = {"phone": {"width": 390, "height": 844}, "desktop": {"width": 1280, "height": 860}}

ANSWER = (Path(__file__).parent / "answer.md").read_text()


@pytest.fixture
def server(tmp_path: Path, upstream: Upstream) -> Iterator[Server]:
    with Server(tmp_path, openai_base_url=upstream.url, model="example-model") as server:
        yield server


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_pictures_of_the_pages(new_context: Any, upstream: Upstream, size: str, scheme: str) -> None:
    chat = Chat(new_context(viewport=SIZES[size], color_scheme=scheme, device_scale_factor=2).new_page())

    def picture(name: str) -> None:
        path = FOLDER / f"{name}-{size}-{scheme}.png"
        chat.page.screenshot(path=path)
        assert path.stat().st_size > 10_000

    chat.open()
    expect(chat.composer).to_be_focused()
    picture("welcome")
    upstream.will_say(*ANSWER.splitlines(keepends=True)[:14], PAUSE, *ANSWER.splitlines(keepends=True)[14:])
    chat.send("How do I count the words in a text with Python?")
    expect(chat.text).to_contain_text("Counter[str]")
    picture("streaming")
    upstream.go_on()
    chat.expect_complete()
    picture("answer")
    chat.page.mouse.move(SIZES[size]["width"] - 200, 400)
    chat.page.mouse.wheel(0, -5000)
    expect(chat.prompts.first).to_be_in_viewport()
    picture("conversation")
    upstream.will_fail(401)
    chat.send("And in Turkish?")
    expect(chat.answer.locator(".ending .problem")).to_be_in_viewport()
    picture("failure")
    chat.page.get_by_role("button", name="Delete this conversation").click()
    picture("delete")
    if size == "phone":
        chat.page.keyboard.press("Escape")
        chat.page.get_by_role("button", name="Conversations").click()
        picture("menu")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_picture_without_scripts(new_context: Any, upstream: Upstream, scheme: str) -> None:
    context = new_context(java_script_enabled=False, viewport=SIZES["desktop"], color_scheme=scheme)
    chat = Chat(context.new_page())
    chat.open()
    upstream.will_say(*ANSWER.splitlines(keepends=True)[:14], PAUSE)
    chat.write("How do I count the words in a text with Python?")
    chat.send_button.click(no_wait_after=True)
    expect(chat.text).to_contain_text("Counter[str]")

    chat.page.screenshot(path=FOLDER / f"without-scripts-{scheme}.png")
    upstream.go_on()
    chat.expect_complete()
