"""Several tabs on one conversation, and what is written but not yet sent."""

from playwright.sync_api import expect

from e2e.chat import Chat
from tests.upstream import PAUSE, Upstream


def test_stop_works_from_another_tab(chat: Chat, upstream: Upstream) -> None:
    upstream.will_say("Kept words", PAUSE, " and never these")
    chat.send("Go")
    expect(chat.text).to_have_text("Kept words")
    other = Chat(chat.page.context.new_page())
    other.open(chat.page.url)
    expect(other.text).to_have_text("Kept words")

    other.stop_button.click()

    other.expect_complete()
    chat.expect_complete()
    expect(chat.text).to_have_text("Kept words")


def test_two_tabs_show_the_same_answer(chat: Chat, upstream: Upstream) -> None:
    upstream.will_say("One *two*", PAUSE, " three\n\n> four")
    chat.send("Go")
    expect(chat.text).to_contain_text("two")
    other = Chat(chat.page.context.new_page())
    other.open(chat.page.url)
    expect(other.text).to_contain_text("two")

    upstream.go_on()

    for tab in (chat, other):
        expect(tab.text.locator("blockquote")).to_have_text("four")
        tab.expect_complete()
    assert chat.text.inner_html() == other.text.inner_html()


def test_a_draft_survives_the_end_of_an_answer_and_a_reload(chat: Chat, upstream: Upstream) -> None:
    upstream.will_say("Slow", PAUSE, " answer.")
    chat.send("Hi")
    expect(chat.text).to_have_text("Slow")
    with chat.page.expect_response("**/draft"):
        chat.composer.press_sequentially("A draft")
    chat.composer.press("ArrowLeft")

    upstream.go_on()
    chat.expect_complete()
    expect(chat.composer).to_have_value("A draft")
    expect(chat.composer).to_be_focused()
    assert chat.composer.evaluate("box => box.selectionStart") == len("A draft") - 1

    chat.page.reload()
    expect(chat.composer).to_have_value("A draft")
    chat.composer.press("Enter")
    expect(chat.prompts).to_have_text(["Hi", "A draft"])
    chat.expect_complete()
    chat.page.reload()
    expect(chat.composer).to_have_value("")


def test_a_draft_found_after_a_reload_survives_the_end_of_the_answer_and_a_retry(
    chat: Chat, upstream: Upstream
) -> None:
    upstream.will_say("Slow", PAUSE, " answer.")
    chat.send("Hi")
    expect(chat.text).to_have_text("Slow")
    with chat.page.expect_response("**/draft"):
        chat.composer.press_sequentially("A draft")
    chat.page.reload()
    expect(chat.composer).to_have_value("A draft")

    upstream.go_on()
    chat.expect_complete()
    expect(chat.composer).to_have_value("A draft")
    upstream.will_say("Again.")
    chat.retry_button.click()

    expect(chat.text).to_have_text("Again.")
    chat.expect_complete()
    expect(chat.composer).to_have_value("A draft")


def test_an_example_leaves_the_draft_of_a_new_chat_alone(chat: Chat) -> None:
    with chat.page.expect_response("**/draft"):
        chat.composer.press_sequentially("Half a thought")
    chat.page.get_by_role("button", name="Explain something").click()
    chat.expect_complete()

    chat.open("/")

    expect(chat.composer).to_have_value("Half a thought")


def test_a_tab_left_behind_shows_the_whole_conversation_when_it_goes_on(
    chat: Chat, upstream: Upstream
) -> None:
    chat.send("One")
    chat.expect_complete()
    behind = Chat(chat.page.context.new_page())
    behind.open(chat.page.url)
    chat.send("Two")
    expect(chat.prompts).to_have_text(["One", "Two"])
    chat.expect_complete()

    behind.send("Three")

    expect(behind.prompts).to_have_text(["One", "Two", "Three"])
    behind.expect_complete()


def test_a_deleted_conversation_ends_in_the_other_tab_with_its_draft_kept(
    chat: Chat, upstream: Upstream
) -> None:
    upstream.will_say("Slow", PAUSE, " answer")
    chat.send("Hi")
    expect(chat.text).to_have_text("Slow")
    other = Chat(chat.page.context.new_page())
    other.open(chat.page.url)
    chat.composer.press_sequentially("My next words")

    other.page.get_by_role("button", name="Delete this conversation").click()
    other.page.get_by_role("button", name="Delete", exact=True).click()

    expect(chat.page.get_by_text("This conversation was deleted.")).to_be_visible()
    expect(chat.stop_button).to_have_count(0)
    expect(chat.composer).to_have_value("My next words")
    upstream.wait_closed()
    upstream.will_say("A new one.")
    chat.send_button.click()
    expect(chat.text).to_have_text("A new one.")
