"""What a person does with the chat, scripts on."""

import re

from playwright.sync_api import Page, expect

from e2e.chat import Chat
from e2e.conftest import Watch
from tests.upstream import PAUSE, Upstream


def test_a_prompt_sent_by_the_button_is_answered(chat: Chat, upstream: Upstream) -> None:
    upstream.will_say("Hello ", "there.")

    chat.send("Hi")

    expect(chat.prompts).to_have_text(["Hi"])
    expect(chat.text).to_have_text("Hello there.")
    chat.expect_complete()
    expect(chat.composer).to_have_value("")
    expect(chat.composer).to_be_focused()
    expect(chat.page).to_have_url(re.compile(r"/conversations/1$"))
    expect(chat.conversations).to_have_text(["Hi"])


def test_enter_sends_and_shift_enter_breaks_the_line(chat: Chat, upstream: Upstream) -> None:
    chat.composer.press_sequentially("One")
    chat.composer.press("Shift+Enter")
    chat.composer.press_sequentially("two")
    expect(chat.composer).to_have_value("One\ntwo")

    chat.composer.press("Enter")

    expect(chat.prompts).to_have_text("One\ntwo")
    chat.expect_complete()
    assert len(upstream.asked) == 1


def test_the_enter_of_an_input_method_does_not_send(chat: Chat, upstream: Upstream) -> None:
    keyboard = chat.page.context.new_cdp_session(chat.page)
    chat.composer.focus()
    keyboard.send("Input.imeSetComposition", {"text": "にほん", "selectionStart": 3, "selectionEnd": 3})
    enter = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 229}
    keyboard.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", **enter})
    keyboard.send("Input.dispatchKeyEvent", {"type": "keyUp", **enter})
    keyboard.send("Input.insertText", {"text": "日本"})
    expect(chat.composer).to_have_value("日本")
    expect(chat.prompts).to_have_count(0)

    chat.page.keyboard.press("Enter")

    expect(chat.prompts).to_have_text(["日本"])
    chat.expect_complete()
    assert len(upstream.asked) == 1


def test_the_answer_is_formatted_while_it_arrives(chat: Chat, upstream: Upstream) -> None:
    upstream.will_say("Some **bold", PAUSE, "** text.\n\n```python\nx = 1", PAUSE, "\n```\n\n- one\n- two")

    chat.send("Go")
    expect(chat.text).to_contain_text("bold")
    expect(chat.answer).to_have_attribute("aria-busy", "true")
    upstream.go_on()
    expect(chat.text.locator("strong")).to_have_text("bold")
    expect(chat.text.locator("pre")).to_have_text("x = 1")
    upstream.go_on()

    expect(chat.text.locator("li")).to_have_text(["one", "two"])
    expect(chat.text.locator("pre .mi")).to_have_text("1")
    chat.expect_complete()


def test_code_is_copied_exactly(chat: Chat, upstream: Upstream) -> None:
    upstream.will_say(
        "```python\nif x:\n\ty = '<b>&amp;'\n\n    z\n```\n\n1. In a list:\n\n   ```sh\n   ls\n   ```\n"
    )
    chat.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    chat.send("Code, please")
    chat.expect_complete()

    chat.answer.get_by_role("button", name="Copy code").first.click()
    assert chat.page.evaluate("navigator.clipboard.readText()") == "if x:\n\ty = '<b>&amp;'\n\n    z\n"
    chat.answer.get_by_role("button", name="Copy code").last.press("Enter")
    assert chat.page.evaluate("navigator.clipboard.readText()") == "ls\n"
    chat.answer.get_by_role("button", name="Copy", exact=True).click()
    assert chat.page.evaluate("navigator.clipboard.readText()").startswith("```python\nif x:\n\ty")


def test_stop_keeps_the_text_and_frees_the_composer(chat: Chat, upstream: Upstream) -> None:
    upstream.will_say("Kept words", PAUSE, " and never these")
    chat.send("Go")
    expect(chat.text).to_have_text("Kept words")
    chat.write("My next question")

    chat.stop_button.click()

    chat.expect_complete()
    expect(chat.text).to_have_text("Kept words")
    expect(chat.answer).to_contain_text("Stopped.")
    expect(chat.composer).to_have_value("My next question")
    upstream.wait_closed()


def test_a_failure_is_told_in_the_page_and_retry_answers(chat: Chat, upstream: Upstream) -> None:
    upstream.will_fail(401, {"error": {"message": "Incorrect API key provided: sk-SECRET"}})
    upstream.will_say("Now it works.")
    chat.send("Hi")
    expect(chat.answer.locator(".ending .problem")).to_contain_text("key")
    expect(chat.page.locator("body")).not_to_contain_text("SECRET")
    chat.expect_complete()

    chat.retry_button.click()

    expect(chat.text).to_have_text("Now it works.")
    chat.expect_complete()
    expect(chat.prompts).to_have_count(1)
    expect(chat.answers).to_have_count(1)


def test_an_earlier_answer_is_kept_beside_its_retry(chat: Chat, upstream: Upstream) -> None:
    upstream.will_say("First try.")
    upstream.will_say("Second try.")
    chat.send("Hi")
    chat.expect_complete()

    chat.retry_button.click()
    expect(chat.text).to_have_text("Second try.")
    chat.expect_complete()
    chat.page.get_by_text("Earlier answer").click()

    expect(chat.answer.locator(".earlier .prose")).to_have_text("First try.")


def test_reloading_mid_answer_repeats_and_loses_nothing(chat: Chat, upstream: Upstream) -> None:
    upstream.will_say("One. ", "Two. ", PAUSE, "Three.")
    chat.send("Count to three")
    expect(chat.text).to_have_text("One. Two.")

    chat.page.reload()
    expect(chat.text).to_have_text("One. Two.")
    upstream.go_on()

    expect(chat.text).to_have_text("One. Two. Three.")
    chat.expect_complete()
    assert len(upstream.asked) == 1


def test_back_and_forward_show_the_page_and_the_conversation(chat: Chat, upstream: Upstream) -> None:
    upstream.will_say("Hello.")
    chat.send("Hi")
    chat.expect_complete()

    chat.page.go_back()
    expect(chat.page.get_by_role("heading", name="What would you like to know?")).to_be_visible()
    chat.page.go_forward()
    expect(chat.text).to_have_text("Hello.")

    upstream.will_say("Again.")
    chat.send("Once more")
    expect(chat.text).to_have_text("Again.")
    chat.expect_complete()


def test_the_whole_journey_by_keyboard(chat: Chat, upstream: Upstream) -> None:
    upstream.will_say("First.")
    upstream.will_say("Slow", PAUSE, " never")
    page = chat.page
    expect(chat.composer).to_be_focused()
    page.keyboard.type("Hi")
    page.keyboard.press("Enter")
    expect(chat.text).to_have_text("First.")
    chat.expect_complete()
    page.keyboard.type("More")
    page.keyboard.press("Enter")
    expect(chat.text).to_have_text("Slow")

    page.keyboard.press("Tab")
    expect(chat.stop_button).to_be_focused()
    page.keyboard.press("Enter")

    chat.expect_complete()
    expect(chat.text).to_have_text("Slow")


def test_a_reader_who_scrolled_up_is_not_moved(chat: Chat, upstream: Upstream) -> None:
    upstream.will_say("\n\n".join(f"Paragraph {n}." for n in range(60)), PAUSE, "\n\nThe end.\n\n" * 30)
    chat.send("A long one")
    expect(chat.text).to_contain_text("Paragraph 59.")
    scroller = chat.page.locator("#scroller")
    assert scroller.evaluate("s => Math.abs(s.scrollTop)") < 2  # it followed
    scroller.evaluate("s => s.scrollTop = -600")
    watched = chat.page.get_by_text("Paragraph 40.", exact=True)
    expect(watched).to_be_in_viewport()
    before = watched.evaluate("p => p.getBoundingClientRect().top")

    upstream.go_on()
    chat.expect_complete()

    assert abs(watched.evaluate("p => p.getBoundingClientRect().top") - before) < 2


def test_who_is_away_from_the_end_is_shown_the_way_back(chat: Chat, upstream: Upstream) -> None:
    upstream.will_say("\n\n".join(f"Paragraph {n}." for n in range(60)))
    chat.send("A long one")
    chat.expect_complete()
    jump, scroller = chat.page.get_by_role("link", name="Jump to the latest"), chat.page.locator("#scroller")
    expect(jump).to_be_hidden()
    # What is bound to scrolling would be styled anew for each line that comes at the end.
    assert chat.page.evaluate("() => document.getAnimations().length") == 0
    scroller.evaluate("s => s.scrollTop = -600")

    jump.click()

    expect(jump).to_be_hidden()
    expect(chat.page.get_by_text("Paragraph 59.", exact=True)).to_be_in_viewport()


def test_an_example_prompt_is_one_click(chat: Chat, upstream: Upstream) -> None:
    upstream.will_say("Because of scattering.")

    chat.page.get_by_role("button", name="Explain something").click()

    expect(chat.text).to_have_text("Because of scattering.")
    expect(chat.prompts).to_contain_text("sky")
    chat.expect_complete()


def test_a_conversation_is_found_again_and_deleted_after_a_question(chat: Chat, upstream: Upstream) -> None:
    chat.send("Remember the milk")
    chat.expect_complete()
    chat.open("/")
    chat.conversations.filter(has_text="Remember the milk").click()
    expect(chat.prompts).to_have_text(["Remember the milk"])

    chat.page.get_by_role("button", name="Delete this conversation").click()
    chat.page.get_by_role("button", name="Delete", exact=True).click()

    expect(chat.page).to_have_url(re.compile(r"/$"))
    expect(chat.conversations).to_have_count(0)


def test_a_blank_prompt_and_a_refused_one_are_told_and_kept(
    chat: Chat, upstream: Upstream, watch: Watch
) -> None:
    watch.allow("422", "413")
    chat.write("   ")
    chat.composer.press("Enter")
    expect(chat.notice).to_have_text("Please write a message first.")
    expect(chat.composer).to_be_focused()

    chat.write("x" * 200_001)
    chat.send_button.click()
    expect(chat.notice).to_contain_text("at most 200,000")
    expect(chat.composer).to_have_value("x" * 200_001)


def test_the_demo_page_streams_by_plain_attributes(page: Page) -> None:
    page.goto("/demo")

    expect(page.get_by_role("log")).to_have_text(
        "Hypermedia is the engine of application state: this text came one token at a time."
    )
