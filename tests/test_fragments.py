"""Fragments: however an answer is cut, what is sent adds up to the whole."""

import asyncio
import gc
import re
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from bs4 import BeautifulSoup, Tag
from hypothesis import given, settings
from hypothesis import strategies as st

from app import renderings
from app.fragments import changes, is_balanced, page_blocks, tip
from app.fragments import step as step_of
from app.growing import GrowingAnswer
from app.markdown import Rendering, grown
from app.renderings import Shown, shown_now

PARTIAL = re.compile(r'<hx-partial hx-target="([^"]*)" hx-swap=(\w+)>(.*?)</hx-partial>', re.DOTALL)

BLANK = " \t\n\xa0\u2003\ufeff"  # to a script, as far as texts here have it

PIECES = st.sampled_from(
    [
        *("word ", "**bold** ", "*it", "*", "`co`", "\n", "\n\n", "<b>", "&amp;", "😀"),
        *("- item", "  - sub", "1. one", "# Head", "===\n", "---\n", "> quote"),
        *("```python\n", "x = 1\n", "```\n", "    code", "| a | b |\n", "|---|---|\n", "| 1 | 2 |\n"),
        *(
            "[link](https://example.org)",
            "[ref]",
            "\n\n[ref]: https://example.org\n",
            "[^1]",
            "\n\n[^1]: note\n",
        ),
        *("$$\n", "\\[\n", "\\]\n", "+ x", "$x^2$", "\\(x", "\\)", "\ufeff", "\xa0"),
    ]
)
DOCUMENTS = st.lists(PIECES, max_size=25).map("".join)


def parsed(html: str) -> BeautifulSoup:
    """As a browser does it; this parser would shorten runs of blanks outside of `<pre>`."""
    return BeautifulSoup(html, "html.parser", preserve_whitespace_tags={"div", "p", "li", "code", "pre"})


class Page:
    """What htmx does with fragments, done to a page of one answer."""

    def __init__(self, html: str = "") -> None:
        self.soup = parsed(f'<div id="message-7-blocks">{html}</div>')

    def apply(self, sent: str) -> None:
        bare = PARTIAL.sub("", sent)
        assert sent.startswith(bare)
        # The page finds all targets before it changes anything.
        changes = [(self._find(target), swap, html) for target, swap, html in PARTIAL.findall(sent)]
        if bare:
            [element] = self.soup.select(tip("7"))
            piece = parsed(f"<div>{bare}</div>")
            assert piece.get_text().strip(BLANK) or piece.select("div *"), "htmx would leave it out"
            changes.insert(0, (element, "append", bare))
        for element, swap, html in changes:
            new = parsed(f"<div>{html}</div>").contents[0]
            assert isinstance(new, Tag)
            if swap == "delete":
                element.decompose()
                continue
            if swap == "innerMorph":
                element.clear()
            else:
                assert swap == "append"
            for child in list(new.contents):
                element.append(child)

    def _find(self, target: str) -> Tag:
        anchor, *steps = target.split(">")
        element = self.soup.select_one(anchor)
        for step in steps:
            assert step == ":last-child"
            assert element
            element = element.find_all(True, recursive=False)[-1]
        assert element
        return element

    @property
    def html(self) -> str:
        self.soup.smooth()
        return str(self.soup)


def blocks(text: str) -> str:
    return page_blocks("7", shown_now("7", text).blocks)


def step(seen: str, now: str) -> str:
    return changes("7", shown_now("7", seen).blocks, shown_now("7", now).blocks, bare=True)


def whole(text: str) -> str:
    return str(parsed(f'<div id="message-7-blocks">{blocks(text)}</div>'))


@settings(max_examples=120, deadline=None)
@given(DOCUMENTS, st.lists(st.integers(min_value=0, max_value=200), max_size=12))
def test_however_it_is_cut_the_stream_ends_as_the_whole(text: str, cuts: list[int]) -> None:
    page = Page()
    seen = ""
    for cut in sorted({cut for cut in cuts if cut < len(text)} | {len(text)}):
        page.apply(step(seen, text[:cut]))
        seen = text[:cut]

    assert page.html == whole(text)


@settings(max_examples=60, deadline=None)
@given(DOCUMENTS, DOCUMENTS)
def test_a_page_of_unknown_state_is_set_right(before: str, text: str) -> None:
    page = Page()
    page.apply(step("", before))

    page.apply(changes("7", None, shown_now("7", text).blocks))

    assert page.html == whole(text)


@settings(max_examples=120, deadline=None)
@given(DOCUMENTS, st.lists(st.integers(min_value=0, max_value=200), max_size=12))
def test_a_page_that_only_grows_shows_the_whole_in_the_end(text: str, cuts: list[int]) -> None:
    growing = GrowingAnswer()
    cuts = [*sorted({cut for cut in cuts if cut < len(text)}), len(text)]

    sent = "".join(growing.advance(shown_now("7", text[:cut]).blocks) for cut in cuts) + growing.end()

    assert shown_in(sent) == [str(parsed(html)) for html in shown_now("7", text).blocks]


def shown_in(sent: str) -> list[str]:
    """The blocks that the style leaves visible: not those that have a newer version behind them."""
    soup = parsed(sent)
    assert is_balanced(sent)
    if not soup.contents:
        return []
    prose = soup.find_all("div", class_="prose", recursive=False)[-1]
    found = prose.find_all("div", class_="block", recursive=False)
    return [
        block.decode_contents()
        for block, following in zip(found, [*found[1:], None][: len(found)], strict=True)
        if following is None or "again" not in following["class"]
    ]


@pytest.mark.parametrize(
    ("seen", "now", "sent"),
    [
        ("a", "a b", [("", "", " b")]),
        ("a", "a  ", []),
        (
            "a\nb",
            "a\nb\n\nc",
            [("#message-7-blocks", "append", '<div class="block" dir="auto" id="m7-1"><p>c</p></div>')],
        ),
        (
            "a",
            "a b\n\nc",
            [
                ("", "", " b"),
                ("#message-7-blocks", "append", '<div class="block" dir="auto" id="m7-1"><p>c</p></div>'),
            ],
        ),
        ("```\na", "```\na\nb", [("", "", "\nb")]),
        ("```\na", "```\na\n", [("#m7-0>:last-child>:last-child>:last-child", "append", "\n")]),
        ("a", "a\xa0", [("#m7-0>:last-child", "append", "&nbsp;")]),
        ("a", "a\n\ufeff", [("#m7-0>:last-child", "append", "\n\ufeff")]),
        ("a", "a\xa0!", [("", "", "&nbsp;!")]),
        ("- - a", "- - a b", [("", "", " b")]),
        ("- a\n\n- b", "- a\n\n- b c", [("", "", " c")]),
        ("> a", "> a b", [("#m7-0>:last-child>:last-child", "append", " b")]),
        ("a `b`", "a `b` c", [("", "", " c")]),
        ("a", "a *b*", [("", "", " <em>b</em>")]),
        ("a *b", "a *b*", [("#m7-0>:last-child", "innerMorph", "a <em>b</em>")]),
        ("- a", "- a b", [("", "", " b")]),
        ("- a", "- a\n- b", [("#m7-0>:last-child", "append", "<li>b</li>")]),
        (
            "- a\n- b **c",
            "- a\n- b **c**\n- d",
            [
                ("#m7-0>:last-child>:last-child", "innerMorph", "b <strong>c</strong>"),
                ("#m7-0>:last-child", "append", "<li>d</li>"),
            ],
        ),
        (
            "a",
            "a\n\nb",
            [("#message-7-blocks", "append", '<div class="block" dir="auto" id="m7-1"><p>b</p></div>')],
        ),
        ("a", "a\n===", [("#m7-0", "innerMorph", "<h1>a</h1>")]),
        ("a\n\n***", "a\n\n*** b", [("#m7-1", "innerMorph", "<p>*** b</p>")]),
        ("a", "a", []),
    ],
)
def test_as_little_as_possible_is_sent(seen: str, now: str, sent: list[tuple[str, str, str]]) -> None:
    change = step(seen, now)
    bare = PARTIAL.sub("", change)

    assert [*([("", "", bare)] if bare else []), *PARTIAL.findall(change)] == sent


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"- **Term {n}**: some `words` of *explanation*\n" for n in range(120)),
        "| a | b |\n|---|---|\n" + "".join(f"| `{n}` | **b** {n} |\n" for n in range(120)),
        "".join(f"Some *words* and `code {n}`, and a [link](https://a.example/).\n\n" for n in range(80)),
        "```python\n" + "x = [1, 2]  # a comment\n" * 200 + "```\n",
    ],
    ids=["list", "table", "paragraphs", "code"],
)
def test_a_formatted_answer_is_sent_as_small_changes(text: str) -> None:
    # Eight characters a flush: two tokens, as at forty tokens a second.
    sent = sum(len(step(text[:cut], text[: cut + 8])) for cut in range(0, len(text), 8))

    assert sent < 24 * len(
        text
    )  # most of it the names of targets; whole blocks would be hundreds of times the text


def test_what_is_nested_deep_is_sent_as_one_piece_from_some_depth_on() -> None:
    text = "> " * 97 + "$a$ " * 25_000
    sent = PARTIAL.findall(
        changes("7", shown_now("7", text).blocks, shown_now("7", text[:-8] + "*b*").blocks)
    )

    assert [(target.count(">"), swap) for target, swap, _ in sent] == [(12, "innerMorph")]


def test_a_growing_block_is_not_sent_again() -> None:
    text = "word " * 400

    sent = sum(len(step(text[:cut], text[: cut + 5])) for cut in range(0, len(text) - 5, 5))

    assert sent < 25 * len(text)  # whole blocks would be two hundred times the text
    assert len(step(text[:1000], text[:1005])) < 120


BEFORE = "One *word*.\n\n```py\nx = 1\n```\n\nTwo, [see].\n\n"


@pytest.mark.parametrize(
    ("seen", "added", "changed"),
    [
        ("- a\n- b", "\n\n- c\n", {"#m7-3"}),  # a list turns loose
        ("Head\ning", "\n===\n", {"#m7-3"}),  # a paragraph turns into a heading
        ("| a |", "\n|---|\n", {"#message-7-blocks"}),  # a table was waited for
        ("End.", "\n\n[see]: https://a.example\n", {"#m7-2"}),  # a link is defined behind its use
        ("End.", "\n\n[other]: https://a.example\n", set()),
        ("```js\nlet a", "\n```\n", {"#m7-3"}),  # code is coloured
    ],
)
def test_what_the_language_makes_change_changes_and_nothing_else(
    seen: str, added: str, changed: set[str]
) -> None:
    before = shown_now("7", BEFORE + seen, running=True).blocks
    after = shown_now("7", BEFORE + seen + added, running=True).blocks

    sent = changes("7", before, after)

    assert {target.partition(">")[0] for target, _, _ in PARTIAL.findall(sent)} == changed


def test_every_piece_of_code_has_a_copy_button_of_its_own() -> None:
    html = blocks("```\na\n```\n\n- item\n\n  ```\n  b\n  ```\n\n  ```\n  c\n  ```\n")

    soup = parsed(html)
    buttons = [str(button["for"]) for button in soup.select("clipboard-copy")]
    assert len(set(buttons)) == 3
    assert [soup.select_one(f"#{name}").get_text() for name in buttons] == ["a\n", "b\n", "c\n"]  # type: ignore[union-attr] # the buttons name them


def test_a_footnote_is_reached_by_its_number() -> None:
    soup = parsed(blocks("One[^a], two[^b], one[^a].\n\n[^b]: B\n\n    - b\n\n[^a]: A\n"))

    links = soup.select("sup > a")
    notes = [soup.select_one(str(link["href"])) for link in links]
    assert [note.get_text()[0] for note in notes if note] == ["A", "B", "A"]
    assert len(soup.select("[id]")) == len({str(one["id"]) for one in soup.select("[id]")})


def test_who_comes_back_takes_nothing_from_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "Some words.\n\n" * 2_000
    now = shown_now("8", text, running=True).blocks
    shown_now("8", text[:9_000], running=True)
    rendered = watch_rendering(monkeypatch)

    assert shown_now("8", text + "More.", running=True).blocks[: len(now)] == now
    assert rendered[0] < 5_000


def test_who_catches_up_with_a_long_answer_has_each_part_rendered_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = "Some words.\n\n" * 2_000
    held = shown_now("9", text)
    seen = Shown()
    rendered: list[int] = []

    def watched(before: Rendering, text: str, *, running: bool) -> Rendering:
        known = before.settled_text
        rendered.append(len(text) - (len(known) if text.startswith(known) else 0))
        return grown(before, text, running=running)

    monkeypatch.setattr(renderings, "grown", watched)
    for end in range(2_000, len(text), 2_000):
        seen, _ = asyncio.run(step_of("9", seen, text[:end], running=True))

    assert held.text == text
    assert max(rendered) < 2_200


def test_however_many_answers_are_read_only_what_is_new_is_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "Some words.\n\n" * 100
    held = [shown_now(f"m{number}", text, running=True) for number in range(300)]
    rendered = watch_rendering(monkeypatch)

    for number in range(300):
        shown_now(f"m{number}", text + "More.", running=True)

    assert len(held) == len(rendered) == 300
    assert max(rendered) < 100


def test_what_nobody_reads_is_let_go() -> None:
    first = weakref.ref(shown_now("n", "Some words.", running=True))
    for number in range(100):
        shown_now(f"n{number}", "Some words.", running=True)

    gc.collect()

    assert first() is None


def watch_rendering(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many characters are looked at for each rendering from now on."""
    rendered: list[int] = []

    def watched(before: Rendering, text: str, *, running: bool) -> Rendering:
        rendered.append(len(text) - len(before.settled_text))
        return grown(before, text, running=running)

    monkeypatch.setattr(renderings, "grown", watched)
    return rendered


def test_many_threads_may_ask_at_once() -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda n: shown_now(f"t{n % 150}", f"*{n}*").blocks, range(3_000)))

    assert found == [(f"<p><em>{n}</em></p>",) for n in range(3_000)]


def test_text_cannot_forge_what_surrounds_it() -> None:
    hostile = (
        '</div><pre>x</pre>\n\n</hx-partial><hx-partial hx-target="body">y\n\n<div class="block" id="m7-0">'
    )

    soup = parsed(blocks(hostile))

    assert soup.select("clipboard-copy, hx-partial, pre[id]") == []
    assert hostile.split("\n")[0] in soup.get_text()


def test_the_first_text_of_a_process_is_rendered_beside_the_event_loop() -> None:
    # The renderer is loaded with it.
    root = Path(__file__).parent.parent
    program = """
from app.renderings import is_long, shown_now
print(is_long("7", "Hi"), *shown_now("7", "Hi").blocks, is_long("7", "Hi"))
"""
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )

    assert said.stdout == "True <p>Hi</p> False\n"
