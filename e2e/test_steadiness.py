"""What stands on the page stays as it is while an answer is written under it."""

from playwright.sync_api import Page, expect

from e2e.chat import Chat
from tests.upstream import PAUSE, Upstream

# Watches, at each change of the page, where the blocks are that came before the marked one.
WATCH = """
() => {
  const blocks = [...document.querySelectorAll('.answer .block')].slice(0, -1);
  window.places = () => blocks.map(block => [block.isConnected, block.offsetTop, block.offsetHeight].join());
  window.before = places().join(' ');
  window.moved = [];
  new MutationObserver(() => {
    if (places().join(' ') !== before) window.moved.push(places().join(' '));
  }).observe(document.body, {subtree: true, childList: true, characterData: true, attributes: true});
  return blocks.length;
}
"""
SELECT = """
(words) => {
  const walker = document.createTreeWalker(document.querySelector('.answer > .prose'), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, at = node.data.indexOf(words);
    if (at >= 0) getSelection().setBaseAndExtent(node, at, node, at + words.length);
  }
}
"""
PARTS = [
    "First *paragraph* with settled words in it.\n\n",
    "```py\nx = 1\n```\n\n",
    "| a | b |\n|---|---|\n| 1 | 2 |\n\n",
    "Now a long ",
]
REST = [
    "**bold",
    " text**",
    " and\nmore.\n\n",
    "- one",
    "\n- two\n",
    "\n- loose",
    "\n\n# Head",
    "\n\n```js\nlet a = 1",
    "\n",
    "```",
]


def selection(page: Page) -> str:
    selected: str = page.evaluate("getSelection().toString()")
    return selected


def test_nothing_above_moves_and_a_selection_stays(chat: Chat, upstream: Upstream) -> None:
    upstream.will_say(*PARTS, PAUSE, *(step for part in REST for step in (part, PAUSE)), "\n\nThe end.")
    chat.open()
    chat.send("Hi")
    expect(chat.text).to_contain_text("Now a long")
    assert chat.page.evaluate(WATCH) == 3
    chat.page.evaluate(SELECT, "settled words")

    for word in ["bold", "text", "more.", "one", "two", "loose", "Head", "let a = 1"]:
        upstream.go_on()
        expect(chat.text).to_contain_text(word)
        assert selection(chat.page) == "settled words"
    for _ in range(3):
        upstream.go_on()
    chat.expect_complete()

    assert selection(chat.page) == "settled words"
    assert chat.page.evaluate("window.moved") == []


def test_code_keeps_its_element_and_its_height_when_it_is_coloured(chat: Chat, upstream: Upstream) -> None:
    lines = [f"value_{n} = 'text'  # {n}\n" for n in range(8)]
    upstream.will_say("```python\n", *lines, PAUSE, "```\n\nAfter.", PAUSE)
    chat.open()
    chat.send("Hi")
    code = chat.text.locator("pre")
    expect(code).to_contain_text("value_7")
    height = code.evaluate("pre => (window.pre = pre, pre.getBoundingClientRect().height)")
    chat.page.evaluate(SELECT, "value_3")

    upstream.go_on()

    expect(chat.text).to_contain_text("After.")
    expect(code.locator(".c1").first).to_be_visible()
    assert code.evaluate("pre => [pre === window.pre, pre.getBoundingClientRect().height]") == [True, height]
    assert code.locator("code").inner_text() == "".join(lines)
    upstream.go_on()
    chat.expect_complete()


def test_growing_code_is_added_to_and_never_written_anew(chat: Chat, upstream: Upstream) -> None:
    upstream.will_say("```\nline 0\n", PAUSE, *(f"line {n}\n" for n in range(1, 40)), PAUSE)
    chat.open()
    chat.send("Hi")
    expect(chat.text.locator("pre")).to_contain_text("line 0")
    chat.page.evaluate("""() => {
      window.removed = 0;
      const count = record => { window.removed += record.removedNodes.length; };
      new MutationObserver(records => records.forEach(count))
        .observe(document.querySelector('.answer > .prose'), {subtree: true, childList: true});
    }""")

    upstream.go_on()

    expect(chat.text.locator("pre")).to_contain_text("line 39")
    assert chat.page.evaluate("window.removed") == 0
    upstream.go_on()
    chat.expect_complete()
