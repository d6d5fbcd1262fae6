"""What goes wrong on the way to a page, and that the page gets over it without anybody doing anything."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from e2e.chat import Chat
from e2e.conftest import NETWORK, Watch
from e2e.proxies import HttpProxy
from tests.upstream import PAUSE, Upstream

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
def origin(proxy: HttpProxy) -> str:
    return proxy.url


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
    returned.expect_whole("One two.")
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

    chat.expect_whole("Begun. " + "".join(pieces) + "End.")
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
    chat.expect_whole("One **two** three.")
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
    chat.expect_whole("One **two** three four.")
    other.expect_whole("One **two** three four.")


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

    page.clock.run_for(35_000)  # it goes on by itself as well: five seconds are left for that
    chat.conversations.first.hover()  # whatever was asked for before this has been sent
    assert proxy.requests("/messages/") == []

    with page.expect_response("**/messages/2"):
        page.clock.run_for(6_000)
    upstream.go_on()
    chat.expect_whole("One two.")


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
        tab.expect_whole("".join(PIECES))


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
        plain.expect_whole("One **two** three.")
    else:
        plain.stop_button.click()
        expect(plain.answer.locator(".remark")).to_have_text("Stopped.")
        plain.expect_whole("One **two** ")
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
    plain.expect_whole("Begun. " + "".join(pieces) + "End.")
    assert len(upstream.asked) == 1
