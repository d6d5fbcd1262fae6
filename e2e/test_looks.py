"""What the pages look like and are to those who cannot see them: widths, colours, axe."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from e2e.chat import Chat
from e2e.conftest import Watch
from tests.upstream import PAUSE, Upstream

LONG = (
    """# A heading

Some *text* with a [link](https://example.org/) and `code`, and aVeryLongWord"""
    + "x" * 300
    + """.

| a | b | c | d | e | f | g | h | i |
|---|---|---|---|---|---|---|---|---|
| 111111111 | 222222222 | 333333333 | 444444444 | 555555555 | 666666666 | 777777777 | 888888888 | 999999999 |

```python
print("a very long line of code that does not fit into any narrow column and has to scroll inside itself")
```

> A quote

- [x] done
- [ ] not done

1. one
   - nested

The end.
"""
)


@pytest.mark.parametrize("width", [320, 390, 768, 1280, 2560])
def test_no_page_scrolls_sideways(new_context: Any, upstream: Upstream, width: int) -> None:
    upstream.will_say(LONG)
    chat = Chat(new_context(viewport={"width": width, "height": 720}).new_page())
    chat.open()
    check_width(chat.page, width)

    chat.send("y" * 500)
    chat.expect_complete()

    check_width(chat.page, width)
    for control in (chat.composer, chat.send_button):
        expect(control).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_boxes_of_code_are_drawn_whole(new_context: Any, upstream: Upstream, width: int) -> None:
    upstream.will_say(LONG)
    chat = Chat(new_context(viewport={"width": width, "height": 720}).new_page())
    chat.open()
    chat.send("Go")
    chat.expect_complete()

    edges = chat.page.evaluate(
        """() => [".block:has(> .code)", ".code"].map(one => {
            const {left, right} = document.querySelector(one).getBoundingClientRect()
            return [left, right]
        })"""
    )
    # The block clips what is in it.
    assert edges[0] == edges[1]
    prose = chat.text.bounding_box()
    assert prose
    assert edges[1][0] < prose["x"]


def check_width(page: Page, width: int) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(
        "document.querySelector('#scroller').scrollWidth <= document.querySelector('#scroller').clientWidth"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_serious(
    new_context: Any, upstream: Upstream, watch: Watch, scheme: str, width: int
) -> None:
    watch.allow("404")
    upstream.will_say(LONG)
    upstream.will_say("Slow", PAUSE, " answer")
    # axe is put into the page by the test, which the page's own policy rightly forbids.
    context = new_context(color_scheme=scheme, viewport={"width": width, "height": 720}, bypass_csp=True)
    chat = Chat(context.new_page())
    chat.open()
    check_axe(chat.page)
    chat.send("Go")
    chat.expect_complete()
    check_axe(chat.page)
    chat.send("Go on")
    expect(chat.text).to_have_text("Slow")
    check_axe(chat.page)
    upstream.go_on()
    chat.expect_complete()
    chat.page.get_by_role("button", name="Delete this conversation").click()
    check_axe(chat.page)
    chat.open("/conversations/99")
    check_axe(chat.page)


def check_axe(page: Page) -> None:
    found = Axe().run(page).response["violations"]
    serious = [rule for rule in found if rule["impact"] in ("serious", "critical")]
    assert [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in serious] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_systems_colours(new_context: Any, scheme: str) -> None:
    page = new_context(color_scheme=scheme).new_page()
    page.goto("/")

    red, green, blue = page.evaluate(
        """() => {
            const canvas = document.createElement("canvas").getContext("2d")
            canvas.fillStyle = getComputedStyle(document.documentElement).backgroundColor
            canvas.fillRect(0, 0, 1, 1)
            return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3)
        }"""
    )

    assert (red + green + blue > 600) == (scheme == "light")


def test_an_answer_announces_itself_by_one_line_not_by_tokens(chat: Chat, upstream: Upstream) -> None:
    upstream.will_say("Slow", PAUSE, " answer")
    chat.send("Go")
    status = chat.page.locator("#status")
    expect(status).to_have_text("The answer is being written.")
    expect(chat.answer).to_have_attribute("aria-busy", "true")

    upstream.go_on()

    expect(status).to_have_text("The answer is complete.")
    chat.expect_complete()


def test_conversations_open_from_a_menu_on_a_phone(new_context: Any) -> None:
    chat = Chat(new_context(viewport={"width": 390, "height": 720}).new_page())
    chat.open()
    chat.send("Remember the milk")
    chat.expect_complete()
    expect(chat.conversations).not_to_be_visible()

    chat.page.get_by_role("button", name="Conversations").click()

    expect(chat.conversations).to_be_visible()
    chat.page.keyboard.press("Escape")
    expect(chat.conversations).not_to_be_visible()
