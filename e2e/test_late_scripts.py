"""A page whose scripts are slow to come: what is drawn works without them, and stays when they have come."""

import re

import pytest
from playwright.sync_api import Page, Route, expect

from e2e.chat import Chat
from tests.upstream import Upstream


@pytest.fixture
def late(page: Page) -> list[Route]:
    """Requests for htmx that nobody has answered."""
    routes: list[Route] = []
    page.route("**/static/htmx.*", lambda route: routes.append(route))
    return routes


def test_a_prompt_is_sent_by_its_form_while_htmx_has_not_come(
    page: Page, late: list[Route], upstream: Upstream
) -> None:
    upstream.will_say("Hello.")
    chat = Chat(page)

    page.goto("/", wait_until="commit")
    chat.write("Hi")
    chat.send_button.click(no_wait_after=True)

    expect(chat.text).to_have_text("Hello.")
    expect(page).to_have_url(re.compile(r"/conversations/1/live$"))
    assert late


def test_what_was_written_before_htmx_came_is_still_there_and_enter_sends_it(
    page: Page, late: list[Route], upstream: Upstream
) -> None:
    upstream.will_say("Hello.")
    chat = Chat(page)

    page.goto("/", wait_until="commit")
    chat.write("Hi")
    late[0].continue_()
    expect(page.locator("#composer[data-htmx-powered]")).to_be_visible()
    expect(chat.composer).to_be_focused()
    chat.composer.press("Enter")

    expect(chat.prompts).to_have_text(["Hi"])
    chat.expect_complete()
    expect(page).to_have_url(re.compile(r"/conversations/1$"))
