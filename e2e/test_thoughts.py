"""What a model thinks before it answers, as a reader sees it: folded, streamed, timed, out of the way."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from app.providers import Delta
from e2e.chat import Chat
from e2e.conftest import Watch
from e2e.server import ROOT, Proxy, Server
from e2e.test_looks import check_axe
from tests.upstream import PAUSE, Pause, Upstream

# However long that took on this machine.
TOLD = re.compile("^Thought for ")

FOLDER = ROOT / "screenshots"
LONG = "\n\n".join(f"Step {number}: some *words* about it, and `code` as well." for number in range(60))


def details(chat: Chat) -> Locator:
    return chat.answer.locator("details.reasoning")


def summary(chat: Chat) -> Locator:
    return details(chat).locator("summary")


def thoughts(chat: Chat) -> Locator:
    return details(chat).locator(".thoughts")


def test_thoughts_stream_folded_and_are_timed_and_stay_so(chat: Chat, upstream: Upstream) -> None:
    upstream.will_say(PAUSE, "<thi", "nk>First **this", PAUSE, "** then", Pause(1.1), ".</think>Yes", PAUSE)
    chat.send("Go")
    expect(chat.answer.locator(".waiting")).to_be_visible()
    expect(details(chat)).to_be_hidden()

    upstream.go_on()
    expect(summary(chat)).to_have_text("Thinking…")
    expect(thoughts(chat)).to_be_hidden()
    expect(chat.answer.locator(".waiting")).to_be_visible()
    upstream.go_on()
    expect(chat.text).to_have_text("Yes")
    expect(summary(chat)).to_have_text(re.compile("Thought for [12] seconds?$"))
    expect(chat.answer.locator(".waiting")).to_be_hidden()
    said = summary(chat).inner_text()
    upstream.go_on()
    chat.expect_complete()

    expect(summary(chat)).to_have_text(said)
    expect(thoughts(chat)).to_be_hidden()
    chat.page.reload()
    expect(summary(chat)).to_have_text(said)
    expect(thoughts(chat)).to_be_hidden()
    summary(chat).click()
    expect(thoughts(chat).locator("strong")).to_have_text("this")
    expect(thoughts(chat)).to_have_text("First this then.")
    expect(chat.text).to_have_text("Yes")


def test_thoughts_that_were_opened_stay_open_to_the_end(chat: Chat, upstream: Upstream) -> None:
    late = Delta(reasoning="!")
    upstream.will_say(Delta(reasoning="One "), PAUSE, Delta(reasoning="two "), PAUSE, "Yes", PAUSE, late)
    chat.send("Go")
    summary(chat).click()
    expect(thoughts(chat)).to_have_text("One")
    mark = "element => { element.marked = true }"
    details(chat).evaluate(mark)
    thoughts(chat).evaluate(mark)

    upstream.go_on()
    expect(thoughts(chat)).to_have_text("One two")
    upstream.go_on()
    expect(chat.text).to_have_text("Yes")
    expect(summary(chat)).to_have_text(TOLD)
    expect(thoughts(chat)).to_be_visible()
    expect(summary(chat)).to_be_focused()
    upstream.go_on()
    chat.expect_complete()

    expect(thoughts(chat)).to_be_visible()
    expect(thoughts(chat)).to_have_text("One two !")
    assert details(chat).evaluate("element => element.marked")
    assert thoughts(chat).evaluate("element => element.marked")


def test_thoughts_that_were_closed_again_stay_closed(chat: Chat, upstream: Upstream) -> None:
    upstream.will_say(Delta(reasoning="One "), PAUSE, Delta(reasoning="two "), "Yes", PAUSE, ".")
    chat.send("Go")
    summary(chat).click()
    summary(chat).click()

    upstream.go_on()
    expect(chat.text).to_have_text("Yes")
    expect(thoughts(chat)).to_be_hidden()
    upstream.go_on()
    chat.expect_complete()

    expect(thoughts(chat)).to_be_hidden()


def test_thoughts_that_come_after_the_text_has_begun_come_into_place(chat: Chat, upstream: Upstream) -> None:
    upstream.will_say("Well, ", PAUSE, Delta(reasoning="Hm."), PAUSE, "yes.")
    chat.send("Go")
    expect(chat.text).to_have_text("Well,")
    expect(details(chat)).to_be_hidden()

    upstream.go_on()
    expect(summary(chat)).to_have_text("Thinking…")
    upstream.go_on()

    chat.expect_complete()
    expect(summary(chat)).to_have_text(TOLD)
    expect(chat.text).to_have_text("Well, yes.")


def test_an_answer_without_thoughts_shows_no_place_for_them(chat: Chat, upstream: Upstream) -> None:
    upstream.will_say("Yes", PAUSE, ".")
    chat.send("Go")
    expect(chat.text).to_have_text("Yes")
    expect(details(chat)).to_be_hidden()
    upstream.go_on()

    chat.expect_complete()
    expect(details(chat)).to_have_count(0)


def test_a_second_tab_sees_the_same_thoughts(chat: Chat, upstream: Upstream) -> None:
    upstream.will_say(Delta(reasoning="One "), PAUSE, Delta(reasoning="two"), "Yes", PAUSE, ".")
    chat.send("Go")
    expect(summary(chat)).to_have_text("Thinking…")
    other = Chat(chat.page.context.new_page())
    other.open("/conversations/1")
    summary(other).click()
    expect(thoughts(other)).to_have_text("One")

    upstream.go_on()
    for tab in (chat, other):
        expect(tab.text).to_have_text("Yes")
        expect(summary(tab)).to_have_text(TOLD)
    expect(thoughts(other)).to_have_text("One two")
    expect(thoughts(chat)).to_be_hidden()
    upstream.go_on()

    for tab in (chat, other):
        tab.expect_complete()
    expect(thoughts(other)).to_have_text("One two")
    assert len(upstream.asked) == 1


def test_long_thoughts_scroll_in_themselves_and_move_nothing(chat: Chat, upstream: Upstream) -> None:
    upstream.will_say(
        Delta(reasoning=LONG[:1500]), PAUSE, Delta(reasoning=LONG[1500:3000]), PAUSE,
        Delta(reasoning=LONG[3000:]), "Yes", PAUSE, "."
    )  # fmt: skip
    chat.send("Go")
    summary(chat).click()
    box = thoughts(chat)
    expect(box).to_contain_text("Step 20")
    height = box.evaluate("element => element.offsetHeight")
    assert height <= 0.45 * 720 + 1
    place = summary(chat).bounding_box()

    # Who reads stays where they read, and the page where it is.
    box.evaluate("element => { element.scrollTop = 100 }")
    upstream.go_on()
    expect(box).to_contain_text("Step 40")
    assert box.evaluate("element => element.scrollTop") == 100
    assert summary(chat).bounding_box() == place
    # Who is at the end stays at the end.
    box.evaluate("element => { element.scrollTop = element.scrollHeight }")
    upstream.go_on()
    expect(box).to_contain_text("Step 59")
    expect(chat.text).to_have_text("Yes")
    at_end = "element => element.scrollHeight - element.clientHeight - element.scrollTop"
    assert box.evaluate(at_end) <= 2
    upstream.go_on()
    chat.expect_complete()

    assert box.evaluate(at_end) <= 2
    assert box.evaluate("element => element.offsetHeight") == height


def test_long_thoughts_are_read_by_keyboard(chat: Chat, upstream: Upstream) -> None:
    upstream.will_say(Delta(reasoning=LONG), "Yes.")
    chat.send("Go")
    chat.expect_complete()

    summary(chat).press("Enter")
    chat.page.keyboard.press("Tab")
    expect(thoughts(chat)).to_be_focused()
    chat.page.keyboard.press("End")

    expect(thoughts(chat).locator(".block").last).to_be_in_viewport()
    expect(thoughts(chat).locator(".block").first).not_to_be_in_viewport()


def test_the_text_does_not_move_when_the_answer_ends(chat: Chat, upstream: Upstream) -> None:
    upstream.will_say(Delta(reasoning="Hm. "), "Yes", PAUSE, ".")
    chat.send("Go")
    expect(chat.text).to_have_text("Yes")
    expect(summary(chat)).to_have_text(TOLD)
    place = chat.text.bounding_box()

    upstream.go_on()
    chat.expect_complete()

    assert chat.text.bounding_box() == place


def test_only_thoughts_say_so(chat: Chat, upstream: Upstream) -> None:
    upstream.will_say("<think>Hm.")
    chat.send("Go")

    chat.expect_complete()
    expect(chat.answer.locator(".remark")).to_have_text("The model only thought, and gave no answer.")
    expect(summary(chat)).to_have_text(TOLD)


def test_copying_an_answer_leaves_its_thoughts_out(chat: Chat, upstream: Upstream) -> None:
    chat.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    upstream.will_say("<think>Hm.</think>\n\nYes.")
    chat.send("Go")
    chat.expect_complete()

    chat.answer.get_by_role("button", name="Copy", exact=True).click()

    assert chat.page.evaluate("navigator.clipboard.readText()") == "Yes."


def test_without_scripts_thoughts_stream_folded_before_the_text(plain: Chat, upstream: Upstream) -> None:
    more = Delta(reasoning="** three")
    upstream.will_say(Delta(reasoning="One **two"), PAUSE, more, PAUSE, "Yes", PAUSE, ".")
    plain.write("Go")
    plain.send_button.click(no_wait_after=True)
    expect(summary(plain)).to_have_text("Thinking…")
    thought = plain.answer.locator(".thinking .block")
    expect(thought.last).to_be_hidden()
    summary(plain).click()
    expect(plain.answer.locator(".thinking .block:visible")).to_have_text("One two")

    upstream.go_on()
    expect(plain.answer.locator(".thinking .block:visible")).to_have_text("One two three")
    expect(plain.answer.locator(".thinking strong:visible")).to_have_text("two")
    upstream.go_on()
    text = plain.answer.locator("> .prose:visible")
    expect(text).to_have_text("Yes")
    expect(plain.answer.locator("[slot=thought]")).to_have_text(TOLD)
    expect(summary(plain).get_by_text("Thinking…")).to_be_hidden()
    expect(plain.answer.locator(".thinking .block:visible")).to_have_text("One two three")
    upstream.go_on()

    plain.expect_complete()
    expect(text).to_have_text("Yes.")


class TestThroughABadNetwork:
    @pytest.fixture
    def proxy(self, server: Server) -> Iterator[Proxy]:
        with Proxy(server.port) as proxy:
            yield proxy

    @pytest.fixture
    def origin(self, proxy: Proxy) -> str:
        return proxy.url

    def test_thoughts_and_text_go_on_after_a_cut(
        self, chat: Chat, upstream: Upstream, proxy: Proxy, watch: Watch
    ) -> None:
        watch.allow(
            "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE", "ERR_INCOMPLETE_CHUNKED", "SSE", "network error"
        )
        asked: list[str] = []
        chat.page.on("request", lambda request: asked.append(request.headers.get("last-event-id", "")))
        upstream.will_say(Delta(reasoning="One "), PAUSE, Delta(reasoning="two"), PAUSE, "Yes", PAUSE, ".")
        chat.send("Go")
        summary(chat).click()
        expect(thoughts(chat)).to_have_text("One")

        proxy.cut()
        upstream.go_on()
        proxy.mend()
        expect(thoughts(chat)).to_have_text("One two")
        proxy.cut()
        upstream.go_on()
        proxy.mend()
        expect(chat.text).to_have_text("Yes")
        expect(summary(chat)).to_have_text(TOLD)
        upstream.go_on()

        chat.expect_complete()
        expect(thoughts(chat)).to_have_text("One two")
        assert "0-4" in asked
        assert "0-7" in asked


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_pictures_of_thoughts_and_axe(new_context: Any, upstream: Upstream, scheme: str, width: int) -> None:
    # axe is put into the page by the test, which the page's own policy rightly forbids.
    context = new_context(color_scheme=scheme, viewport={"width": width, "height": 844}, bypass_csp=True)
    chat = Chat(context.new_page())
    chat.open()

    def picture(name: str) -> None:
        check_axe(chat.page)
        path = FOLDER / f"thoughts-{name}-{width}-{scheme}.png"
        chat.page.screenshot(path=path)
        assert path.stat().st_size > 10_000

    upstream.will_say(
        Delta(reasoning="The question is *why* the sky is blue. I keep to `Rayleigh` scattering.\n\n- "),
        Delta(reasoning="what scatters\n- what does not\n\n```python\nblue > red\n```\n\n" + LONG), PAUSE,
        "Sunlight is scattered by the air, and blue light **most of all**.", PAUSE,
        "\n\nAt dusk its way through the air is longer, so that what is left is red.",
    )  # fmt: skip
    chat.send("Why is the sky blue?")
    expect(summary(chat)).to_have_text("Thinking…")
    picture("running")
    summary(chat).click()
    expect(thoughts(chat)).to_contain_text("Step 59")
    picture("running-open")
    upstream.go_on()
    expect(chat.text).to_contain_text("most of all")
    picture("text-open")
    upstream.go_on()
    chat.expect_complete()
    picture("ended-open")
    summary(chat).click()
    expect(thoughts(chat)).to_be_hidden()
    picture("ended")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures_of_thoughts_without_scripts(new_context: Any, upstream: Upstream, scheme: str) -> None:
    page: Page = new_context(java_script_enabled=False, color_scheme=scheme).new_page()
    chat = Chat(page)
    chat.open()
    reasoning = Delta(reasoning="The question is *why*. " + LONG)
    upstream.will_say(reasoning, PAUSE, "Sunlight is scattered.", PAUSE)
    chat.write("Why is the sky blue?")
    chat.send_button.click(no_wait_after=True)
    expect(summary(chat)).to_have_text("Thinking…")
    page.screenshot(path=FOLDER / f"thoughts-plain-running-{scheme}.png")
    summary(chat).click()
    upstream.go_on()
    expect(chat.answer.locator("> .prose:visible")).to_have_text("Sunlight is scattered.")
    page.screenshot(path=FOLDER / f"thoughts-plain-text-open-{scheme}.png")
    upstream.go_on()
    chat.expect_complete()
