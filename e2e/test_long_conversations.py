"""Long conversations in a browser: older messages come in above, and nothing that is being read moves."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from app.db import Database
from e2e.chat import Chat
from e2e.server import Server
from e2e.test_looks import check_axe
from tests.long_conversation import add_long_conversation, prompt
from tests.upstream import Upstream

TURNS = 60


@pytest.fixture
def server(tmp_path: Path, upstream: Upstream) -> Iterator[Server]:
    """The application, with one conversation of many turns in its database."""
    url = f"sqlite:///{tmp_path}/chat.db"

    async def fill() -> None:
        database = Database(url)
        await database.upgrade()
        async with database.writing() as session:
            await add_long_conversation(session, TURNS)
        await database.close()

    # Apart: the browser's event loop is running here already.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, fill()).result()
    with Server(tmp_path, database_url=url, openai_base_url=upstream.url, model="scripted") as server:
        yield server


def first_prompt(page: Page) -> str:
    return page.locator("article[data-role=user] .said").first.text_content() or ""


def top_of(page: Page, text: str) -> float:
    box = page.locator(".said", has_text=text).first.bounding_box()
    assert box
    return box["y"]


def test_reading_upwards_brings_everything_and_moves_nothing(chat: Chat) -> None:
    page = chat.page
    chat.open("/conversations/1")
    expect(page.get_by_text(prompt(TURNS), exact=True)).to_be_in_viewport()
    shown = first_prompt(page)
    assert shown != prompt(1)

    asked: list[Route] = []
    page.route("**until=*", lambda route: asked.append(route))
    while shown != prompt(1):
        with page.expect_request(lambda request: "until=" in request.url):
            # Up to where the first message is at the top, and the link above it comes into view.
            page.evaluate(
                "text => [...document.querySelectorAll('.said')].find(said => said.textContent == text)"
                ".scrollIntoView({block: 'center'})",
                shown,
            )
        # Once it is drawn, as its link was asked for: what comes into sight may turn out a little longer.
        before = top_of(page, shown)
        asked.pop().continue_()
        expect(page.locator(".said").first).not_to_have_text(shown)
        assert abs(top_of(page, shown) - before) <= 1
        shown = first_prompt(page)

    said = page.locator("article[data-role=user] .said").all_text_contents()
    assert said == [prompt(number) for number in range(1, TURNS + 1)]
    expect(page.get_by_role("link", name="Earlier messages")).to_have_count(0)


def test_the_keyboard_stays_where_it_is(chat: Chat) -> None:
    page = chat.page
    chat.open("/conversations/1")
    shown = first_prompt(page)
    link = page.get_by_role("link", name="Earlier messages")
    address = link.get_attribute("href")

    link.focus()

    expect(page.locator(".said").first).not_to_have_text(shown)
    expect(link).not_to_have_attribute("href", address or "")
    expect(link).to_be_focused()


def test_a_prompt_can_be_sent_with_older_messages_shown(chat: Chat, upstream: Upstream) -> None:
    upstream.will_say("Yes.")
    page = chat.page
    chat.open("/conversations/1")
    shown = first_prompt(page)
    page.get_by_role("link", name="Earlier messages").scroll_into_view_if_needed()
    expect(page.locator(".said").first).not_to_have_text(shown)

    chat.send("And now?")

    chat.expect_complete()
    expect(chat.text).to_have_text("Yes.")
    expect(page.get_by_text("And now?", exact=True)).to_be_in_viewport()


def test_without_scripts_older_messages_are_pages(new_context: Any) -> None:
    page = new_context(java_script_enabled=False).new_page()
    page.goto("/conversations/1")
    found: list[str] = []
    while True:
        found = page.locator("article[data-role=user] .said").all_text_contents() + found
        link = page.get_by_role("link", name="Earlier messages")
        if not link.count():
            break
        link.click()
        expect(page.get_by_role("link", name="To the latest messages")).to_be_visible()

    assert found == [prompt(number) for number in range(1, TURNS + 1)]
    page.get_by_role("link", name="To the latest messages").click()
    expect(page.get_by_text(prompt(TURNS), exact=True)).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_earlier_messages_look_like_the_others_and_axe_finds_nothing(new_context: Any, scheme: str) -> None:
    page = new_context(color_scheme=scheme, java_script_enabled=True).new_page()
    page.goto("/conversations/1")
    href = page.get_by_role("link", name="Earlier messages").get_attribute("href")
    check_axe(page)

    page.goto(href or "")

    check_axe(page)
