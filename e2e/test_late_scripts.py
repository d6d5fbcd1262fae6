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


@pytest.fixture
def drawn(page: Page, late: list[Route], upstream: Upstream) -> Chat:
    """The chat as soon as it is drawn, with a prompt in it, and a model that answers."""
    upstream.will_say("Hello.")
    page.goto("/", wait_until="commit")
    chat = Chat(page)
    chat.write("Hi")
    return chat


def test_a_prompt_is_sent_by_its_form_while_htmx_has_not_come(drawn: Chat, late: list[Route]) -> None:
    drawn.send_button.click(no_wait_after=True)

    expect(drawn.text).to_have_text("Hello.")
    expect(drawn.page).to_have_url(re.compile(r"/conversations/1/live$"))
    assert late


def test_what_was_written_before_htmx_came_is_still_there_and_enter_sends_it(
    drawn: Chat, late: list[Route]
) -> None:
    late[0].continue_()
    expect(drawn.page.locator("#composer[data-htmx-powered]")).to_be_visible()
    expect(drawn.composer).to_be_focused()
    drawn.composer.press("Enter")

    expect(drawn.prompts).to_have_text(["Hi"])
    drawn.expect_complete()
    expect(drawn.page).to_have_url(re.compile(r"/conversations/1$"))
