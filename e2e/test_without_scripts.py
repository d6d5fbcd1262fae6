"""The same journeys in a browser with JavaScript switched off."""

import re

from playwright.sync_api import expect

from e2e.chat import Chat
from e2e.conftest import Watch
from tests.upstream import PAUSE, Upstream


def test_the_answer_streams_inside_the_page(plain: Chat, upstream: Upstream) -> None:
    upstream.will_say(PAUSE, "One **two", PAUSE, "** three.\n\n```python\nx = 1", PAUSE, "\n```\n\n- a\n- b")

    plain.write("Go")
    plain.send_button.click(no_wait_after=True)
    expect(plain.stop_button).to_be_visible()
    upstream.go_on()
    expect(plain.text.locator("strong")).to_have_text("two")
    expect(plain.page).to_have_url(re.compile(r"/conversations/1/live$"))
    upstream.go_on()
    expect(plain.text.locator(".block:visible strong")).to_have_text("two")
    expect(plain.text.locator("pre:visible")).to_have_text("x = 1")
    expect(plain.text.locator(".block:visible p")).to_have_text(["One two three."])
    upstream.go_on()

    expect(plain.text.locator("li:visible")).to_have_text(["a", "b"])
    plain.expect_complete()
    expect(plain.text.locator("p:visible")).to_have_text(["One two three."])


def test_the_composer_is_below_the_messages_and_after_them_by_keyboard(
    plain: Chat, upstream: Upstream
) -> None:
    upstream.will_say("Slow [link](https://example.org/)", PAUSE, " answer")
    plain.write("Go")
    plain.send_button.click(no_wait_after=True)
    expect(plain.text).to_contain_text("Slow")

    answer, composer = plain.answer.bounding_box(), plain.composer.bounding_box()
    assert answer
    assert composer
    assert answer["y"] + answer["height"] <= composer["y"]
    link = plain.text.get_by_role("link")
    link.focus()
    plain.page.keyboard.press("Tab")
    expect(plain.composer).to_be_focused()
    plain.page.keyboard.press("Tab")
    expect(plain.stop_button).to_be_focused()
    upstream.go_on()
    plain.expect_complete()


def test_stop_works_while_the_page_streams_and_keeps_the_draft(plain: Chat, upstream: Upstream) -> None:
    upstream.will_say("Kept", PAUSE, " lost")
    plain.write("Go")
    plain.send_button.click(no_wait_after=True)
    expect(plain.text).to_have_text("Kept")
    plain.write("My next words")

    plain.stop_button.click()

    expect(plain.answer.locator(".remark")).to_have_text("Stopped.")
    expect(plain.text).to_have_text("Kept")
    expect(plain.composer).to_have_value("My next words")
    upstream.wait_closed()


def test_a_conversation_goes_on_from_the_page_that_streamed(plain: Chat, upstream: Upstream) -> None:
    upstream.will_say("First.")
    upstream.will_say("Second.")

    plain.send("One")
    plain.expect_complete()
    plain.send("Two")
    plain.expect_complete()

    expect(plain.prompts).to_have_text(["One", "Two"])
    expect(plain.text).to_have_text("Second.")


def test_reloading_mid_answer_goes_on_streaming(plain: Chat, upstream: Upstream) -> None:
    upstream.will_say("One. ", PAUSE, "Two.")
    plain.write("Go")
    plain.send_button.click(no_wait_after=True)
    expect(plain.text).to_have_text("One.")

    # The conversation's ordinary address leads a browser without scripts to the page that streams.
    plain.page.goto("/conversations/1", wait_until="commit")
    expect(plain.text).to_have_text("One.")
    upstream.go_on()

    expect(plain.text).to_have_text("One. Two.")
    plain.expect_complete()
    assert len(upstream.asked) == 1


def test_a_failure_is_told_and_retry_answers(plain: Chat, upstream: Upstream) -> None:
    upstream.will_fail(401)
    upstream.will_say("Now it works.")
    plain.send("Hi")
    expect(plain.answer.locator(".ending .problem")).to_be_visible()

    plain.retry_button.click()

    expect(plain.text).to_have_text("Now it works.")
    plain.expect_complete()


def test_bad_input_is_told_with_the_text_still_in_the_form(plain: Chat, watch: Watch) -> None:
    watch.allow("413", "422")
    plain.write(" \n ")
    plain.send_button.click()
    expect(plain.notice).to_have_text("Please write a message first.")

    plain.write("x" * 200_001)
    plain.send_button.click()
    expect(plain.notice).to_contain_text("at most 200,000")
    expect(plain.composer).to_have_value("x" * 200_001)


def test_a_second_prompt_while_an_answer_runs_is_refused_and_kept(
    plain: Chat, upstream: Upstream, watch: Watch
) -> None:
    watch.allow("409")
    upstream.will_say("First.")
    upstream.will_say("Slow", PAUSE, " answer")
    plain.send("Go")
    plain.expect_complete()
    stale = Chat(plain.page.context.new_page())
    stale.open(plain.page.url)
    plain.write("Go on")
    plain.send_button.click(no_wait_after=True)
    expect(plain.text).to_have_text("Slow")

    stale.send("Do not lose me")

    expect(stale.notice).to_contain_text("still being written")
    expect(stale.composer).to_have_value("Do not lose me")
    upstream.go_on()
    plain.expect_complete()


def test_a_conversation_is_found_again_and_deleted_after_a_question(plain: Chat) -> None:
    plain.send("Remember the milk")
    plain.expect_complete()
    plain.open("/")
    plain.conversations.filter(has_text="Remember the milk").click()
    expect(plain.prompts).to_have_text(["Remember the milk"])

    plain.page.get_by_role("button", name="Delete this conversation").click()
    plain.page.get_by_role("button", name="Delete", exact=True).click()

    expect(plain.page).to_have_url(re.compile(r"/$"))
    expect(plain.conversations).to_have_count(0)


def test_the_text_of_an_answer_is_a_link_away(plain: Chat, upstream: Upstream) -> None:
    upstream.will_say("# Hi\n\n<b>you</b>")
    plain.send("Hi")
    plain.expect_complete()

    plain.page.get_by_role("link", name="Plain text").click()

    expect(plain.page.locator("pre")).to_have_text("# Hi\n\n<b>you</b>")


def test_the_example_stream_is_a_link_away(plain: Chat) -> None:
    plain.open("/demo")

    plain.page.get_by_role("link", name="See the events themselves").click()

    expect(plain.page.locator("pre")).to_contain_text("data:  engine")
    expect(plain.page.locator("pre")).to_contain_text("event: done")


def test_an_example_prompt_is_one_click(plain: Chat, upstream: Upstream) -> None:
    upstream.will_say("Because of scattering.")

    plain.page.get_by_role("button", name="Explain something").click()

    expect(plain.text).to_have_text("Because of scattering.")
