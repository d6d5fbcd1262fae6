"""What happens to an answer on the screen when the network or the server does not play along."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from e2e.chat import Chat
from e2e.conftest import Watch
from e2e.server import Proxy, Server
from tests.upstream import PAUSE, Upstream


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with Proxy(server.port) as proxy:
        yield proxy


@pytest.fixture
def origin(proxy: Proxy) -> str:
    return proxy.url


def test_a_network_cut_mid_answer_heals_by_itself(
    chat: Chat, upstream: Upstream, proxy: Proxy, watch: Watch
) -> None:
    watch.allow(
        "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE", "ERR_INCOMPLETE_CHUNKED", "SSE", "network error"
    )
    upstream.will_say("One **two** ", PAUSE, "three ", PAUSE, "four.")
    chat.send("Go")
    expect(chat.text).to_have_text("One two")

    proxy.cut()
    upstream.go_on()
    proxy.mend()
    expect(chat.text).to_have_text("One two three")
    proxy.cut()
    proxy.mend()
    upstream.go_on()

    expect(chat.text).to_have_text("One two three four.")
    chat.expect_complete()
    assert len(upstream.asked) == 1


def test_a_prompt_that_does_not_reach_the_server_is_told_and_kept(
    chat: Chat, proxy: Proxy, watch: Watch
) -> None:
    watch.allow("ERR_", "Failed to fetch", "htmx")
    chat.write("Do not lose me")
    chat.page.wait_for_load_state("networkidle")
    proxy.cut()

    chat.send_button.click()

    expect(chat.notice).to_contain_text("cannot be reached")
    expect(chat.composer).to_have_value("Do not lose me")
    proxy.mend()
    chat.send_button.click()
    expect(chat.prompts).to_have_text("Do not lose me")
    chat.expect_complete()
    expect(chat.notice).to_have_count(0)


HIDDEN = """hidden => {
    Object.defineProperty(document, "hidden", {value: hidden, configurable: true})
    document.dispatchEvent(new Event("visibilitychange"))
}"""


def test_a_hidden_tab_lets_its_stream_go_and_catches_up_when_it_is_shown(
    chat: Chat, upstream: Upstream
) -> None:
    upstream.will_say("One ", PAUSE, "two.")
    chat.send("Go")
    expect(chat.text).to_have_text("One")

    with chat.page.expect_event("requestfailed", lambda request: "/fragments" in request.url):
        chat.page.evaluate(HIDDEN, True)
    upstream.go_on()
    chat.page.evaluate(HIDDEN, False)

    expect(chat.text).to_have_text("One two.")
    chat.expect_complete()


def test_a_stream_that_never_began_is_begun_again(chat: Chat, upstream: Upstream, watch: Watch) -> None:
    watch.allow("ERR_FAILED", "Failed to fetch", "htmx")
    upstream.will_say("One ", PAUSE, "two.")
    chat.page.route("**/fragments*", lambda route: route.abort(), times=1)
    chat.send("Go")
    expect(chat.answer).to_have_attribute("aria-busy", "true")

    # htmx does not try a first connection again; after ten seconds the answer fetches itself anew.
    expect(chat.text).to_have_text("One", timeout=15_000)
    upstream.go_on()

    expect(chat.text).to_have_text("One two.")
    chat.expect_complete()


def test_an_answer_that_has_ended_asks_for_nothing_more(page: Page, upstream: Upstream) -> None:
    page.clock.install()
    chat = Chat(page)
    chat.open()
    upstream.will_say("Hello.")
    chat.send("Hi")
    chat.expect_complete()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    page.clock.run_for(60_000)
    chat.open("/demo")  # whatever was asked for before this has been seen

    assert [address for address in asked if "/messages/" in address] == []


def test_a_killed_server_loses_no_word_that_was_shown(
    chat: Chat, upstream: Upstream, server: Server, watch: Watch
) -> None:
    watch.allow("ERR_", "SSE", "network error", "Failed to fetch", "htmx")
    upstream.will_say("Words that were shown", PAUSE, " and more")
    chat.send("Go")
    expect(chat.text).to_have_text("Words that were shown")

    server.kill()
    server.start()

    expect(chat.text).to_have_text("Words that were shown")
    # Three beats are waited for, since another process might be writing it; then a reader comes back.
    expect(chat.answer).not_to_have_attribute("aria-busy", "true", timeout=20_000)
    chat.expect_complete()
    expect(chat.answer.locator(".ending .problem")).to_contain_text("server was stopped")


def test_a_server_that_is_stopped_ends_every_page_in_words_and_at_once(
    chat: Chat, plain: Chat, upstream: Upstream, server: Server, watch: Watch
) -> None:
    watch.allow("ERR_", "SSE", "network error", "Failed to fetch", "htmx")
    upstream.will_say("Words that were shown", PAUSE)
    chat.send("Go")
    expect(chat.text).to_have_text("Words that were shown")
    plain.page.goto("/conversations/1", wait_until="commit")
    expect(plain.text).to_have_text("Words that were shown")

    status = server.end(signal.SIGINT, seconds=4)

    assert status == 0
    expect(plain.answer.locator(".ending .problem")).to_contain_text("server was stopped")
    assert "Traceback" not in server.log
    assert "ERROR" not in server.log


class TestAModelThatIsAway:
    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[Server]:
        with Server(tmp_path, openai_base_url="http://127.0.0.1:9/v1", model="away") as server:
            yield server

    @pytest.fixture
    def origin(self, server: Server) -> str:
        return server.url

    def test_is_named_in_the_page(self, chat: Chat) -> None:
        chat.send("Hi")

        expect(chat.answer.locator(".ending .problem")).to_contain_text("127.0.0.1:9")
        expect(chat.retry_button).to_be_visible()
