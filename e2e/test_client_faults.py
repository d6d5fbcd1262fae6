"""What goes wrong on the way to a page, and that the page gets over it without anybody doing anything."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import BrowserType, Page, expect

from app.renderings import shown_blocks
from e2e.chat import Chat
from e2e.conftest import Watch
from e2e.proxies import HttpProxy
from e2e.server import Server
from e2e.tabs import Tabs
from tests.upstream import PAUSE, Pause, Upstream

NETWORK = ("ERR_", "SSE", "network error", "Failed to fetch", "htmx:error", "htmx:sse:error")
"""What a browser says of a network that fails."""

# Ways to write that a page could show wrongly if it missed or repeated any of it.
PIECES = (
    "One **two",
    " three** and\n\n- a\n",
    "- b\n- c",
    "\n\n```py\nx = 1\n",
    "y = 2\n```\n\n| a |\n|-|\n",
    "| b |",
)


@pytest.fixture
def options() -> dict[str, Any]:
    """How the proxy of a test is bad."""
    return {}


@pytest.fixture
def proxy(server: Server, options: dict[str, Any]) -> Iterator[HttpProxy]:
    with HttpProxy(server.port, **options) as proxy:
        yield proxy


@pytest.fixture
def origin(proxy: HttpProxy) -> str:
    return proxy.url


def expect_whole(chat: Chat, text: str, message_id: int = 2) -> None:
    """The newest answer is complete, and reads exactly as its text does."""
    chat.expect_complete()
    shown: list[str] = chat.text.evaluate("prose => [...prose.children].map(block => block.innerHTML)")
    assert [normal(html) for html in shown] == [normal(html) for html in shown_blocks(f"{message_id}", text)]


def normal(html: str) -> str:
    """HTML written in one of the ways that mean the same."""
    return str(BeautifulSoup(html, "html.parser"))


@pytest.mark.fault(15)
def test_a_tab_that_is_closed_mid_answer_stops_nothing(
    chat: Chat, new_context: Any, upstream: Upstream, proxy: HttpProxy
) -> None:
    upstream.will_say("One ", PAUSE, "two.")
    chat.send("Go")
    expect(chat.text).to_have_text("One")
    address = chat.page.url
    chat.page.close()
    proxy.wait(lambda: not proxy.open("/fragments"), "the stream to be let go")
    upstream.go_on()

    returned = Chat(new_context().new_page())
    returned.open(address)

    expect(returned.text).to_have_text("One two.")
    expect_whole(returned, "One two.")
    assert len(upstream.asked) == 1


@pytest.mark.fault(16)
def test_ten_reloads_mid_answer_change_nothing_in_it(
    chat: Chat, upstream: Upstream, proxy: HttpProxy
) -> None:
    pieces = [f"{number} *and*\n" for number in range(10)]
    upstream.will_say("Begun. ", *[piece for text in pieces for piece in (PAUSE, text)], PAUSE, "End.")
    chat.send("Go")
    expect(chat.text).to_contain_text("Begun.")

    for _ in pieces:
        upstream.go_on()
        chat.page.reload(wait_until="commit")
        expect(chat.text).to_contain_text("Begun.")
    expect(chat.text).to_contain_text("9 and")
    proxy.wait(lambda: len(proxy.open("/fragments")) == 1, "one stream")
    upstream.go_on()

    expect_whole(chat, "Begun. " + "".join(pieces) + "End.")
    proxy.wait(lambda: not proxy.open("/fragments"), "no stream")
    assert len(upstream.asked) == 1


@pytest.mark.fault(17)
def test_a_network_that_is_away_for_five_minutes_is_waited_for(
    page: Page, upstream: Upstream, proxy: HttpProxy, watch: Watch
) -> None:
    watch.allow(*NETWORK)
    page.clock.install()
    chat = Chat(page)
    chat.open()
    upstream.will_say("One **two** ", PAUSE, "three.")
    chat.send("Go")
    expect(chat.text).to_have_text("One two")

    proxy.cut()
    for _ in range(24):  # times 13 seconds, which no pause between two tries exceeds
        with page.expect_event("requestfailed", lambda request: "/fragments" in request.url):
            page.clock.run_for(13_000)
    proxy.mend()
    upstream.go_on()
    page.clock.run_for(13_000)

    expect(chat.text).to_have_text("One two three.")
    expect_whole(chat, "One **two** three.")
    # By the old stream, or by a new one that begins where the page it came with ends.
    last = proxy.requests("/fragments")[-1]
    assert last.headers.get("last-event-id") == "12" or not last.path.endswith("from=0")
    assert len(upstream.asked) == 1


@pytest.mark.fault(17)
def test_a_connection_that_is_lost_without_a_word_is_replaced(
    page: Page, new_context: Any, upstream: Upstream, proxy: HttpProxy
) -> None:
    page.clock.install()
    chat, other = Chat(page), Chat(new_context().new_page())
    chat.open()
    upstream.will_say("One **two** ", PAUSE, "three ", PAUSE, "four.")
    chat.send("Go")
    expect(chat.text).to_have_text("One two")
    proxy.lose()
    other.open(page.url)
    upstream.go_on()
    expect(other.text).to_have_text("One two three")

    page.clock.run_for(60_000)

    expect(chat.text).to_have_text("One two three")
    upstream.go_on()
    expect_whole(chat, "One **two** three four.")
    expect_whole(other, "One **two** three four.")


@pytest.mark.fault(17)
def test_a_stream_that_is_alive_is_left_alone_and_one_that_is_silent_is_not(
    page: Page, upstream: Upstream, proxy: HttpProxy
) -> None:
    page.clock.install()
    chat = Chat(page)
    chat.open()
    upstream.will_say("One ", PAUSE, "two.")
    chat.send("Go")
    expect(chat.text).to_have_text("One")

    page.clock.run_for(39_000)
    chat.conversations.first.hover()  # whatever was asked for before this has been sent
    assert proxy.requests("/messages/") == []

    with page.expect_response("**/messages/2"):
        page.clock.run_for(2_000)
    upstream.go_on()
    expect_whole(chat, "One two.")


@pytest.mark.fault(20)
def test_two_tabs_of_one_chat_show_the_same(chat: Chat, upstream: Upstream) -> None:
    upstream.will_say(*[piece for text in PIECES for piece in (text, PAUSE)])
    chat.send("Go")
    expect(chat.text).to_contain_text("One")
    other = Chat(chat.page.context.new_page())
    other.open(chat.page.url)

    for _ in PIECES:
        upstream.go_on()

    for tab in (chat, other):
        expect_whole(tab, "".join(PIECES))


@pytest.mark.fault(17)
@pytest.mark.parametrize("way", ["reload", "stop"])
def test_without_scripts_what_came_before_a_cut_stays_and_there_is_a_way_on(
    plain: Chat, upstream: Upstream, proxy: HttpProxy, watch: Watch, way: str
) -> None:
    watch.allow(*NETWORK)
    upstream.will_say("One **two** ", PAUSE, "three.")
    plain.write("Go")
    plain.send_button.click(no_wait_after=True)
    expect(plain.text).to_have_text("One two")

    proxy.cut()
    proxy.wait(lambda: not proxy.open("/live"), "the cut")
    proxy.mend()
    expect(plain.text).to_have_text("One two")
    if way == "reload":
        upstream.go_on()
        plain.page.reload()
        expect_whole(plain, "One **two** three.")
    else:
        plain.stop_button.click()
        expect(plain.answer.locator(".remark")).to_have_text("Stopped.")
        expect_whole(plain, "One **two** ")
    assert len(upstream.asked) == 1


@pytest.mark.fault(16)
def test_without_scripts_ten_reloads_mid_answer_change_nothing_in_it(
    plain: Chat, upstream: Upstream, proxy: HttpProxy
) -> None:
    pieces = [f"{number} *and*\n" for number in range(10)]
    upstream.will_say("Begun. ", *[piece for text in pieces for piece in (PAUSE, text)], PAUSE, "End.")
    plain.write("Go")
    plain.send_button.click(no_wait_after=True)
    expect(plain.text).to_contain_text("Begun.")

    for _ in pieces:
        upstream.go_on()
        plain.page.reload(wait_until="commit")
        expect(plain.text).to_contain_text("Begun.")
    expect(plain.text).to_contain_text("9 and")
    proxy.wait(lambda: len(proxy.open("/live")) == 1, "one stream")
    upstream.go_on()

    expect(plain.text).to_contain_text("End.")
    plain.page.reload()
    expect_whole(plain, "Begun. " + "".join(pieces) + "End.")
    assert len(upstream.asked) == 1


class TestBehindAProxyThatTakesTheLastEventIdAway:
    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {"without": ["Last-Event-ID"]}

    @pytest.mark.fault(50)
    def test_a_cut_repeats_nothing(
        self, chat: Chat, upstream: Upstream, proxy: HttpProxy, watch: Watch
    ) -> None:
        watch.allow(*NETWORK)
        upstream.will_say("One **two** ", PAUSE, "three ", PAUSE, "four.\n\nFive.")
        chat.send("Go")
        expect(chat.text).to_have_text("One two")

        for shown in ("One two three", "One two three four.Five."):
            proxy.cut()
            upstream.go_on()
            proxy.mend()
            expect(chat.text).to_have_text(shown)

        expect_whole(chat, "One **two** three four.\n\nFive.")


class TestBehindAProxyThatCutsWhatIsIdle:
    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {"idle_seconds": 1}

    @pytest.mark.fault(50)
    def test_a_model_that_thinks_long_is_waited_for(
        self, chat: Chat, upstream: Upstream, proxy: HttpProxy, watch: Watch
    ) -> None:
        watch.allow(*NETWORK)
        upstream.will_say("One **two** ", PAUSE, "three ", PAUSE, "four.")
        chat.send("Go")
        expect(chat.text).to_have_text("One two")

        proxy.wait(lambda: len(proxy.requests("/fragments")) > 2, "two cuts")
        upstream.go_on()
        expect(chat.text).to_have_text("One two three")
        seen = len(proxy.requests("/fragments"))
        proxy.wait(lambda: len(proxy.requests("/fragments")) > seen, "another cut")
        upstream.go_on()

        expect_whole(chat, "One **two** three four.")


class TestBehindAProxyThatBuffers:
    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {"buffers": True}

    @pytest.mark.fault(50)
    def test_an_answer_comes_in_large_steps(
        self, page: Page, upstream: Upstream, server: Server, proxy: HttpProxy, watch: Watch
    ) -> None:
        watch.allow(*NETWORK)
        page.clock.install()
        chat = Chat(page)
        chat.open()
        upstream.will_say("One **two** ", PAUSE, "three ", PAUSE, "four.")
        chat.send("Go")
        proxy.wait(lambda: bool(proxy.open("/fragments")), "a stream")

        for shown, stored in (("One two", "two"), ("One two three", "three")):
            with httpx2.stream("GET", f"{server.url}/completion/2") as text:
                assert any(stored in line for line in text.iter_lines())
            with page.expect_response("**/messages/2"):
                page.clock.run_for(11_000)
            expect(chat.text).to_have_text(shown)
            upstream.go_on()
        page.clock.run_for(11_000)

        expect_whole(chat, "One **two** three four.")
        proxy.wait(lambda: not proxy.open("/fragments"), "no stream")


class TestTabsThatHideOneAnother:
    @pytest.fixture
    def options(self) -> dict[str, Any]:
        # What would take forty seconds takes two; who is compressed cannot be changed on the way.
        return {"without": ["Accept-Encoding"], "instead": {b"alive delay:40s": b"alive delay:02s"}}

    @pytest.fixture
    def tabs(
        self, browser_type: BrowserType, browser_type_launch_args: dict[str, Any], tmp_path: Path
    ) -> Iterator[Tabs]:
        executable = browser_type_launch_args.get("executable_path") or browser_type.executable_path
        if "headless_shell" in executable or "headless-shell" in executable:
            pytest.skip("this browser has no tabs that are hidden")
        with Tabs(executable, tmp_path / "profile", *browser_type_launch_args["args"]) as tabs:
            yield tabs

    def ask(self, origin: str, prompt: str) -> None:
        """Send a prompt as a program does that does not care for the answer."""
        with httpx2.stream("POST", f"{origin}/completion", data={"prompt": prompt}) as response:
            assert response.status_code == 200

    @pytest.mark.fault(18)
    def test_a_hidden_tab_holds_no_stream_and_goes_on_when_it_is_shown(
        self, tabs: Tabs, origin: str, upstream: Upstream, proxy: HttpProxy
    ) -> None:
        upstream.will_say("One ", PAUSE, "two.")
        self.ask(origin, "Go")
        tab = tabs.open(f"{origin}/conversations/1")
        proxy.wait(lambda: len(proxy.open("/fragments")) == 1, "a stream")

        tabs.open(f"{origin}/demo")
        proxy.wait(lambda: not proxy.open("/fragments"), "the stream to be let go")
        proxy.wait(lambda: bool(proxy.requests("/messages/2")), "the hidden page to miss its stream")
        tabs.open(f"{origin}/demo")
        proxy.wait(lambda: len(proxy.requests("/demo")) == 2, "a third tab")
        assert not proxy.open("/fragments")

        tabs.show(tab)
        proxy.wait(lambda: len(proxy.open("/fragments")) == 1, "a stream again")
        upstream.go_on()
        proxy.wait(lambda: not proxy.open("/fragments"), "the end of the stream")

    @pytest.mark.fault(49)
    def test_eight_tabs_with_running_answers_leave_the_front_one_a_connection(
        self, tabs: Tabs, origin: str, upstream: Upstream, proxy: HttpProxy
    ) -> None:
        opened = []
        for number in range(1, 9):
            upstream.will_say("One ", PAUSE, "two.")
            self.ask(origin, "Go")
            opened.append(tabs.open(f"{origin}/conversations/{number}"))
            self.wait_for_the_one_stream(proxy, number)

        for number, tab in enumerate(opened, 1):
            tabs.show(tab)
            self.wait_for_the_one_stream(proxy, number)
        for _ in opened:
            upstream.go_on()
        for number, tab in enumerate(opened, 1):
            tabs.show(tab)
            final = f"/messages/{2 * number}"
            proxy.wait(lambda final=final: len(proxy.requests(final)) > 0, "the final form")  # type: ignore[misc] # mypy and defaults of lambdas

    def wait_for_the_one_stream(self, proxy: HttpProxy, number: int) -> None:
        """Wait until the page in front streams its answer, and no other page does."""
        path = f"/completion/{2 * number}/fragments"
        proxy.wait(
            lambda: (streams := proxy.open("/fragments")) != [] and all(path in one.path for one in streams),
            f"one stream, of {path}",
        )


@pytest.mark.fault(49)
def test_eight_windows_side_by_side_are_all_served_as_answers_end(
    new_context: Any, upstream: Upstream, origin: str
) -> None:
    context = new_context()
    windows = []
    for number in range(1, 9):
        upstream.will_say("One ", Pause(2), "two.")
        with httpx2.stream("POST", f"{origin}/completion", data={"prompt": "Go"}):
            windows.append(Chat(context.new_page()))
        windows[-1].page.goto(f"/conversations/{number}", wait_until="commit")

    for window in windows:
        expect_whole(window, "One two.", 2 * (windows.index(window) + 1))
