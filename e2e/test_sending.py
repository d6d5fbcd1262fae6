"""A prompt on its way: shown at once as what is being sent, and gone again where it is not taken."""

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Request, Route, expect

from e2e.chat import Chat
from e2e.conftest import NETWORK, Watch
from e2e.server import Server
from tests.upstream import PAUSE, Upstream

PLACE = """it => {
    const {x, y, width, height} = it.getBoundingClientRect();
    const {paddingLeft, paddingTop} = getComputedStyle(it);
    const [left, top] = [paddingLeft, paddingTop].map(parseFloat);
    return [x + left, y + top, width - 2 * left, height - 2 * top];
}"""
DRAWN = "it => { const drawn = getComputedStyle(it, '::after'); return [drawn.content, drawn.opacity]; }"


@pytest.fixture
def held(page: Page) -> list[Route]:
    """Prompts that were sent and have not left the browser."""
    routes: list[Route] = []
    page.route("**/completion", lambda route: routes.append(route))
    return routes


def sending(chat: Chat) -> Locator:
    """What is shown of a prompt that is being sent."""
    return chat.page.locator(".hx-pending")


def test_a_prompt_is_shown_at_once_dimmed_and_becomes_what_is_stored_where_it_stands(
    chat: Chat, held: list[Route], upstream: Upstream
) -> None:
    upstream.will_say("Hello.")
    words = (
        "Two lines,\nthe second of which is long enough to be broken where the bubble ends, as it is here."
    )
    chat.send(words)

    expect(sending(chat)).to_be_visible()
    expect(chat.page.get_by_text("What would you like to know?")).to_be_hidden()
    expect(chat.prompts).to_have_count(0)
    written = words.replace("\n", "\\a ")
    assert sending(chat).evaluate(DRAWN) == [f'"{written}" / ""', "0.6"]
    before = sending(chat).evaluate(PLACE)
    held.pop().continue_()

    expect(chat.prompts).to_have_text([words])
    expect(sending(chat)).to_have_count(0)
    chat.expect_complete()
    assert chat.page.locator("article.prompt").evaluate(PLACE) == before


def test_a_screen_reader_is_told_of_a_prompt_when_it_is_stored_and_not_before(
    chat: Chat, held: list[Route]
) -> None:
    browser = chat.page.context.new_cdp_session(chat.page)

    def heard() -> list[str]:
        tree = browser.send("Accessibility.getFullAXTree")["nodes"]
        return [node["name"]["value"] for node in tree if "name" in node]

    chat.page.get_by_role("button", name="Explain something").click()
    expect(sending(chat)).to_be_visible()
    assert not any("sky is blue" in words for words in heard())
    held.pop().continue_()

    expect(chat.prompts).to_have_count(1)
    assert any("sky is blue" in words for words in heard())


def test_what_is_being_sent_is_text_whatever_it_says(
    chat: Chat, held: list[Route], upstream: Upstream
) -> None:
    hostile = """<img src=x onerror=alert(1)> <hx-partial hx-target="body">gone</hx-partial> "</div><p>"""
    upstream.will_say("Hello.")
    chat.send(hostile)

    expect(sending(chat)).to_be_visible()
    assert sending(chat).evaluate("it => [it.innerHTML, it.dataset.prompt]") == ["", hostile]
    held.pop().continue_()

    expect(chat.prompts).to_have_text([hostile])
    chat.expect_complete()


def test_a_prompt_of_blanks_goes_with_what_is_said_of_it(chat: Chat, held: list[Route], watch: Watch) -> None:
    watch.allow("422")
    chat.send("   ")
    expect(sending(chat)).to_have_count(1)
    held.pop().continue_()

    expect(chat.notice).to_have_text("Please write a message first.")
    expect(sending(chat)).to_have_count(0)
    expect(chat.composer).to_have_value("   ")


def test_a_prompt_that_is_not_taken_goes_and_is_still_in_its_form(
    chat: Chat, held: list[Route], watch: Watch
) -> None:
    watch.allow("413")
    words = "x" * 200_001
    chat.send(words)
    expect(sending(chat)).to_be_visible()
    held.pop().continue_()

    expect(chat.notice).to_contain_text("at most 200,000")
    expect(sending(chat)).to_have_count(0)
    expect(chat.composer).to_have_value(words)
    expect(chat.page.get_by_text("What would you like to know?")).to_be_visible()


def test_a_prompt_that_comes_while_an_answer_runs_goes_and_is_still_in_its_form(
    chat: Chat, held: list[Route], upstream: Upstream, watch: Watch
) -> None:
    watch.allow("409")
    upstream.will_say("One.")
    chat.send("First")
    expect(sending(chat)).to_be_visible()
    held.pop().continue_()
    chat.expect_complete()
    upstream.will_say("Slow", PAUSE, " answer.")
    chat.send("Second")
    expect(sending(chat)).to_be_visible()
    other = Chat(chat.page.context.new_page())
    other.open(chat.page.url)
    other.send("Mine was first")
    expect(other.text).to_have_text("Slow")
    held.pop().continue_()

    expect(chat.notice).to_contain_text("An answer is still being written")
    expect(sending(chat)).to_have_count(0)
    expect(chat.composer).to_have_value("Second")
    upstream.go_on()
    other.expect_complete()
    expect(other.prompts).to_have_text(["First", "Mine was first"])


def test_a_prompt_goes_and_is_still_in_its_form_where_the_server_is_away(
    chat: Chat, server: Server, upstream: Upstream, watch: Watch
) -> None:
    watch.allow(*NETWORK)
    chat.page.wait_for_load_state("networkidle")
    server.stop()
    chat.send("Are you there?")

    expect(chat.page.locator("#offline .problem")).to_be_visible()
    expect(sending(chat)).to_have_count(0)
    expect(chat.composer).to_have_value("Are you there?")

    server.start()
    chat.send_button.click()
    expect(chat.prompts).to_have_text(["Are you there?"])
    expect(sending(chat)).to_have_count(0)
    chat.expect_complete()
    assert len(upstream.asked) == 1


@pytest.mark.parametrize("status", [401, 413, 429, 502, 503, 504])
@pytest.mark.parametrize(
    "body", ["", "<html><head><title>Bad Gateway</title></head><body><h1>Bad</h1></body></html>"]
)
def test_what_a_proxy_answers_in_the_place_of_the_server_is_told_as_such(
    chat: Chat, watch: Watch, status: int, body: str
) -> None:
    watch.allow(str(status))
    title = chat.page.title()
    chat.page.route(
        "**/completion", lambda route: route.fulfill(status=status, body=body, content_type="text/html")
    )
    chat.send("Are you there?")

    expect(chat.page.locator("#unanswered .problem")).to_be_visible()
    expect(sending(chat)).to_have_count(0)
    expect(chat.composer).to_have_value("Are you there?")
    assert chat.page.title() == title
    chat.page.unroute("**/completion")
    chat.send_button.click()

    expect(chat.prompts).to_have_text(["Are you there?"])
    expect(chat.page.locator("#unanswered .problem")).to_have_count(0)
    chat.expect_complete()


def test_what_the_server_itself_says_is_told_once(chat: Chat, watch: Watch) -> None:
    watch.allow("422")
    chat.send("  ")

    expect(chat.page.locator("#unanswered .problem")).to_be_attached()
    expect(chat.notice).to_have_text(["Please write a message first."])


def test_a_network_that_fails_is_told_beside_what_the_server_said_before(chat: Chat, watch: Watch) -> None:
    watch.allow("422", *NETWORK)
    chat.send("  ")
    expect(chat.notice).to_have_text(["Please write a message first."])
    chat.page.route("**/completion", lambda route: route.abort())
    chat.send("Are you there?")

    expect(chat.page.locator("#offline .problem")).to_be_visible()
    expect(chat.composer).to_have_value("Are you there?")


def test_a_notice_that_cannot_be_fetched_is_not_asked_for_over_and_over(chat: Chat, watch: Watch) -> None:
    watch.allow("502")
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url.rpartition("/")[2])
        route.fulfill(status=502, body="Bad", content_type="text/html")

    chat.page.wait_for_load_state("networkidle")
    chat.page.route("**/offline", refuse)
    chat.page.route("**/completion", refuse)
    for _ in range(2):
        with chat.page.expect_response("**/offline"):
            chat.send("Are you there?")

    assert asked == ["completion", "offline"] * 2


def test_a_second_click_while_a_prompt_is_being_sent_shows_and_sends_it_once(
    chat: Chat, held: list[Route], upstream: Upstream
) -> None:
    posts: list[Request] = []
    chat.page.on("request", lambda request: posts.append(request) if "/completion" in request.url else None)
    chat.send("Once")
    expect(sending(chat)).to_be_visible()

    chat.composer.press("Enter")

    expect(sending(chat)).to_have_count(1)
    held.pop().continue_()
    chat.expect_complete()
    expect(chat.prompts).to_have_text(["Once"])
    assert [request.method for request in posts if request.method == "POST"] == ["POST"]
    assert len(upstream.asked) == 1


def test_sending_goes_to_the_end_of_the_page(chat: Chat, upstream: Upstream) -> None:
    upstream.will_say("\n\n".join(f"Paragraph {n}." for n in range(60)))
    upstream.will_say("Short.")
    chat.send("A long one")
    chat.expect_complete()
    scroller: Any = chat.page.locator("#scroller")
    scroller.evaluate("s => s.scrollTop = -600")

    chat.send("And then?")

    expect(chat.prompts.last).to_be_in_viewport()
    assert scroller.evaluate("s => Math.abs(s.scrollTop)") < 2
