"""Unfinished Markdown: what is still being written reads as it most likely will."""

import re
from itertools import pairwise
from time import process_time

import pytest
from hypothesis import given

from app.markdown import render
from app.markdown.unfinished import completed
from tests.rendered import Page, prefixes
from tests.test_fragments import DOCUMENTS


def shown(text: str) -> str:
    html = "".join(render(text, running=True))
    return html.replace(' target="_blank" rel="nofollow noopener noreferrer"', "")


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a **b", "<p>a <strong>b</strong></p>"),
        ("a **b ", "<p>a <strong>b</strong></p>"),
        ("a **b*", "<p>a <strong>b</strong></p>"),
        ("a **", "<p>a</p>"),
        ("a *b **c", "<p>a <em>b <strong>c</strong></em></p>"),
        ("a ***b", "<p>a <em><strong>b</strong></em></p>"),
        ("a ***b**", "<p>a <em><strong>b</strong></em></p>"),
        ("a _b", "<p>a <em>b</em></p>"),
        ("a ~~b", "<p>a <del>b</del></p>"),
        ("a `b", "<p>a <code>b</code></p>"),
        ("a `b*", "<p>a <code>b*</code></p>"),
        ("a ``b`c", "<p>a <code>b`c</code></p>"),
        ("a `", "<p>a</p>"),
        ("# a *b", "<h1>a <em>b</em></h1>"),
        ("> a *b", "<blockquote><p>a <em>b</em></p></blockquote>"),
        ("- a\n- b **c", "<ul><li>a</li><li>b <strong>c</strong></li></ul>"),
        (r"a \(b_1 + \frac{c", r"<p>a <code>b_1 + \frac{c</code></p>"),
        (r"a **b \(c", r"<p>a <strong>b <code>c</code></strong></p>"),
        ("\\[\nb\n+ c", "<p><code>b + c</code></p>"),
        ("$$ a", "<p><code>a</code></p>"),
        (r"a \(", "<p>a</p>"),
        ("$a^2 + b", "<p><code>a^2 + b</code></p>"),
        ("$$\n" + "a + " * 100 + "b", f"<p><code>{'a + ' * 100}b</code></p>"),
        ("a ``b`c`", "<p>a <code>b`c</code></p>"),
        ("a *b, *c", "<p>a *b, <em>c</em></p>"),
        ("a *" + "b " * 150 + "c", f"<p>a *{'b ' * 150}c</p>"),
        ("*a\n\nb", "<p>*a</p><p>b</p>"),
    ],
)
def test_what_was_begun_is_shown_as_if_it_ended_here(text: str, html: str) -> None:
    assert shown(text) == html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a [b", "<p>a b</p>"),
        ("a [b]", "<p>a b</p>"),
        ("a [b](https://c.ex", "<p>a b</p>"),
        ("a [b **c](https://c.ex", "<p>a b <strong>c</strong></p>"),
        ("a [b](https://c.example)", '<p>a <a href="https://c.example">b</a></p>'),
        ("a ![b](https://c.ex", "<p>a b</p>"),
        (
            "a [![b](https://c.example/d.png)](htt",
            '<p>a <a href="https://c.example/d.png">b (<bdi>c.example</bdi>)</a></p>',
        ),
        ("a [b][re", "<p>a b</p>"),
        ("a <https://c.ex", "<p>a</p>"),
        ("a [^", "<p>a</p>"),
        ("a [^note", "<p>a</p>"),
        ("a[0", "<p>a[0</p>"),
        ("a [0] b", "<p>a [0] b</p>"),
        ("a [ b", "<p>a [ b</p>"),
    ],
)
def test_of_half_a_link_only_the_text_is_shown(text: str, html: str) -> None:
    assert shown(text) == html


@pytest.mark.parametrize(
    "text",
    [
        "2 * 3",
        "2 * 3 * 4 and 5",
        "snake_case_name",
        "about ~5 minutes",
        "$5",
        "5*3 and so on",
        "cost $$5 and more",
        "from $5 to",
        "a\\*b",
        "5 < 6",
        "a `b` c",
        "**a** b",
    ],
)
def test_what_is_no_mark_stays(text: str) -> None:
    assert shown(text) == "".join(render(text))


@pytest.mark.parametrize(
    "end",
    [
        *("-", "--", "- ", "*", "**", "+ ", "=", "==", "1", "12", "1.", "1. ", "#", "## ", ">", "> ", "> - "),
        *(
            "`",
            "``",
            "```",
            "```py",
            "~~~",
            "|",
            "| a",
            "| a | b |",
            "| a | b |\n",
            "| a | b |\n|-",
            "- [",
            "- [x",
        ),
        "- [ ] ",
        "[a]:",
        "[a]: https://b.ex",
        "[^a]: half a note",
        "$",
    ],
)
def test_a_beginning_that_may_be_anything_waits(end: str) -> None:
    assert shown(f"a\n\n{end}") == "<p>a</p>"


def test_no_paragraph_turns_into_a_heading_and_back() -> None:
    text = "Here is a list:\n- one\n- two\n\nAnd a line:\n\n---\n\nEnd"

    assert not any("<h" in shown(prefix).replace("<hr>", "") for prefix in prefixes(text))


def test_what_is_defined_elsewhere_changes_nothing_about_that() -> None:
    defined = "[a]: https://a.example\n\n[^n]: note\n\n"

    assert shown(f"{defined}b **c").startswith("<p>b <strong>c</strong></p>")
    assert 'href="https://a.example">a</a> <em>b</em>' in shown(f"{defined}[a] *b")


def test_a_table_is_a_table_from_its_delimiter_row_on() -> None:
    text = "| a | b |\n|---|---|\n| 1 | 2 |\n"

    seen = [shown(prefix) for prefix in prefixes(text)]
    assert [html.startswith('<div class="table">') for html in seen if html] == [True] * sum(map(bool, seen))
    assert seen[len("| a | b |\n|---|---|\n")].count("<th>") == 2


def test_code_is_code_from_its_first_line_on_and_never_shows_its_fence() -> None:
    text = "a\n\n```py\nx = 1\n```\n\nb"

    for prefix in prefixes(text, 2):
        assert "`" not in shown(prefix)
    assert shown("a\n\n```py\n") == "<p>a</p>" + shown("```py\n")
    assert 'class="code"' in shown("a\n\n```py\n")


def test_marks_are_hardly_ever_seen() -> None:
    text = "Some **bold words** and *others*, `code`, ~~gone~~ and [a link](https://a.example/b) in it.\n"

    for prefix in prefixes(text):
        assert not re.search(r"[*`~\[\]()]", re.sub(r"<[^>]*>", "", shown(prefix)))


def test_formatted_words_grow_at_their_end() -> None:
    text = "Some **bold words** and *others* and `code`."

    bare = [re.sub(r"(</\w+>)+$", "", shown(prefix)) for prefix in prefixes(text, 1)]
    assert all(new.startswith(old) for old, new in pairwise(bare))


@given(DOCUMENTS)
def test_every_beginning_of_a_text_is_safe_and_whole(text: str) -> None:
    for prefix in prefixes(text[:60]):
        Page("".join(render(prefix, running=True)))


@pytest.mark.timeout(5)
@pytest.mark.parametrize(
    "part", ["*a ", "`", "[", "[^", "![", "](", "- ", "|", "**", "_a", "\\(", "$$", "(", "~~a "]
)
def test_looking_for_what_is_open_takes_no_time(part: str) -> None:
    render(part * (19_000 // len(part)), running=True)


def test_what_has_no_end_is_looked_for_once() -> None:
    def seconds(text: str) -> float:
        began = process_time()
        completed(text)
        return process_time() - began

    short, long = (min(seconds("\\(a " * number) for _ in range(5)) for number in (1_200, 4_800))

    assert long < 9 * short  # four times, on a quiet machine; sixteen where each looks through all behind it
