"""Text that would leave its place: too wide, too deep, piled up, turned round."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from app.providers import Delta
from e2e.chat import Chat
from tests.upstream import Upstream

WIDTH = 360
MARKS = "".join(map(chr, range(0x300, 0x370))) * 4
WIDE = {
    "word": "a" * 100_000,
    "word of marks": "a" + "\u0301" * 5_000,
    "syllable": "\u0e01" + "\u0e47" * 200,
    "words that hold together": "a\u2060" * 3_000 + "b\u00a0" * 3_000 + "\u202f" * 3_000,
    "wide characters": "\ufdfd" * 200 + "\U0001242b" * 200 + "\u2e3b" * 200,
    "table": f"|{'a|' * 5_000}\n|{'-|' * 5_000}\n|{'b|' * 5_000}",
    "table of a word": f"|a|b|\n|-|-|\n|{'a' * 5_000}|b|",
    "quotes": ">" * 200 + " a",
    "quotes, formatted": ">" * 95 + " a",
    "lists": "- " * 45 + "a",
    "numbers": "999999999. " * 45 + "a",
    "code": f"```\n{'a' * 100_000}\n```",
    "language": f"```{'W' * 5_000}\na\n```",
    "code in a deep list": "- " * 20 + "\n" + "  " * 20 + f"```py\n{'  ' * 20}{'a' * 500}\n{'  ' * 20}```",
    "words of code and links": f"`{'a' * 50_000}` [{'b' * 50_000}](http://a.example/{'c' * 5_000})",
    "markup": f"<div>\n{'a' * 100_000}\n</div>",
    "heading": f"# {'a' * 5_000}",
    "task and note": f"- [ ] {'a' * 5_000} [^1]\n\n[^1]: {'a' * 5_000}",
}
UNRULY = {
    "marks": f"Z{MARKS} Z{MARKS}\n\n# Z{MARKS}\n\n- Z{MARKS}",
    "overrides": "\u202e one \u202b two \u2067 three `\u202e four` *\u2067 five*",
    "isolates": "\u2066\u2067\u2068" * 50 + "\u202e one",
    "a table of overrides": "|\u202ea|b|\n|-|-|\n|\u2067c|d|",
    "code of overrides": "```\n\u202e one \u2067 two\n```",
    "right to left": "\u0645\u0631\u062d\u0628\u0627 \u200f \u061c",
}


@pytest.fixture
def narrow(new_context: Any) -> Chat:
    chat = Chat(new_context(viewport={"width": WIDTH, "height": 720}).new_page())
    chat.open()
    return chat


def test_nothing_makes_the_page_scroll_sideways(narrow: Chat, upstream: Upstream) -> None:
    wide = []
    for name, text in WIDE.items():
        upstream.will_say(Delta(reasoning=text), f"Before.\n\n{text}\n\nAfter.")
        narrow.open()
        narrow.send(text[:10_000])
        narrow.expect_complete()
        narrow.answer.locator(".reasoning summary").click()
        wide += [f"{name}: {found}" for found in too_wide(narrow.page)]

    assert wide == []


def too_wide(page: Page) -> list[str]:
    found: list[str] = page.evaluate(
        """width => {
            const scrollers = [document.documentElement, document.querySelector("#scroller")]
            const parts = [...document.querySelectorAll("article, .block, .ending, .composer, .bar")]
            return [
                ...scrollers.filter(element => element.scrollWidth > element.clientWidth),
                ...parts.filter(element => element.getBoundingClientRect().right > width)
            ].map(element => `${element.localName}.${element.className}`)
        }""",
        WIDTH,
    )
    return found


def test_a_block_looks_the_same_whatever_stands_before_it(narrow: Chat, upstream: Upstream) -> None:
    texts = {"harmless": "Words.", "harmless code": "```\nWords.\n```", **UNRULY}
    looks = {}
    for name, text in texts.items():
        upstream.will_say(f"{text}\n\nAfter (1) this.")
        narrow.open()
        narrow.send("Go")
        narrow.expect_complete()
        after = narrow.text.locator(".block").last
        expect(after).to_have_text("After (1) this.")
        looks[name] = after.screenshot()

    expected = {name: "harmless code" if "code" in name else "harmless" for name in texts}
    assert [name for name, look in looks.items() if look != looks[expected[name]]] == []


def test_an_address_reads_the_same_whatever_stands_before_it(narrow: Chat, upstream: Upstream) -> None:
    upstream.will_say("<http://good.example/>\n\n\u202eat <http://good.example/>")

    narrow.send("Go")
    narrow.expect_complete()

    plain, turned = [link.screenshot() for link in narrow.text.get_by_role("link").all()]
    assert plain == turned
