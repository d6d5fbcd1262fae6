r"""The parser in Python alone: it writes what comrak writes, so that all that comes after is the same."""

import re
from pathlib import Path
from time import perf_counter

import comrak
import pytest
from markdown_it.rules_inline import StateInline

from app.markdown import python_parser, python_rules
from app.markdown.limits import TooIntricateError
from app.markdown.python_parser import to_html
from tests.specifications import FOLDER, Example, examples
from tests.test_hostile_text import MUCH

ROOT = Path(__file__).parent.parent
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *FOLDER.glob("*.txt")]

FORMULAS = r"""
$x_1 + \{y\}_2$ and $$\frac{a}{b}$$ and \(a < b\) and \[a & b\]
a \(b $c\) d$ \( a \) \()x\) \(\) \[\] \\(x\\) \\\(x\) \(a\\\) b\)
$ x$ $x $ $5 and $6, $x$1 a$b$ $1$ x$1$ $x$y z$ $x$. $y$, ($z$) é$x$é
$$ x $$ $$$x$$$ $$a$b$$ $$x$y $$x$$$ $$$$ $$ $$ $$$ $ $
$$$x$$
$a\$b$ \$x$ y$ $x\\$ y
`$x` y$ $`a`$ x *$a* b$ [$a](b$) <http://a.b/$x$> $<b>&"$ **$a$** $_a_$
$`a
$$x$
""".strip().split("\n")
MIXED = [
    *FORMULAS,
    "$a\nb$ c\n  $$\n  d\n  $$ \\[\ne\n\\]",
    "$a\n\nb$",
    "> $$\n> a\n>   b\n> $$\n\n- \\(\n  a\n  \\)",
    "|a|b|\n|-|-|\n| $x|y$ | \\(x\\|y\\) $z$ |",
    "a[^x] b[^X] [^y] [^z] c\n\n[^x]: c\n\n    d\n[^y]: - z[^x]\n[^unused]: q",
    "[^é] [^a<b]\n\n[^a<b]: <i>q</i>\n[^é]:\n    ```\n    c\n    ```\n\n    | a |\n    |---|\n",
    "- [ ]\n- [x] a\n1. [X] b\n   - [ ] c\n\n     d\n- [x]e\n- [ ]  f\n- [ ] # g\n- [ ]\n  h\n- > [ ] i",
    "~a~ ~~b~~ ~~~d~~~ ~",
    "*e ~f* g~",
    "~h *i~ j*",
    "www.a.b, (http://c.d/e_(f)) https://g.h/i?j=k&l;. ftp://m.n/*o* x@y.z. _x@y.z_ mailto:x@y.z <q@r.s>",
    "[a http://b.c] [http://b.c](d) a\\@b.c http://localhost www.a http://é.b/é http://a_b.c HTTP://a.b",
    '![a *b* `c`\nd](e "f&quot;") [g](<h i> "j\'") [k]\n\n[k]: <> "l"',
    "a\n<b>c</b>\n\n<div>\nd\n</div>\n\n- <!--\n  e\n  -->\n- f\n  <p>",
    "```py x\na\n\n  b\n```\n~~~ &amp;\\*\n\tc\n~~~\n\n    d\n\n\n    e\n\n> ```\n> f\n\n- ~~~\n  g",
    "```\na\n  ",
    "- a\n  - b\n\n    c\n- d\n  ***\n  e\n  # f\n\n3) g\n0. h",
]
# Where it does not, and why that may be.
DIFFERENT = {
    "a\n|-": "a table of one column needs a `|` in its head",
    "> a\n<b>": "HTML goes on with a quote, as CommonMark has it and comrak has not",
    "[a]: b\n    c": "indented lines after a definition are code, and not a paragraph",
    "> b\n    > c": "a mark of a quote counts at any depth",
    "- [^a]:\n- b": "an empty footnote does not part the paragraphs of a list",
    "~a~~ *b*": "tildes that do not match leave what follows as it is",
    "1.": "a list may begin with nothing, and end there",
}


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.name)
def test_an_example_is_written_as_comrak_writes_it(example: Example) -> None:
    text = re.sub("\r\n?", "\n", example.markdown).replace("\0", "\ufffd")

    assert seen(to_html(text)) == seen(comrak_html(text))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_a_document_is_written_as_comrak_writes_it(path: Path) -> None:
    text = path.read_text()[:100_000]

    assert seen(to_html(text)) == seen(comrak_html(text))


@pytest.mark.parametrize("text", MIXED)
@pytest.mark.parametrize("around", ["{}", "# {}", "- {}\n\n  a", "a\n\n{}\n"])
def test_what_models_write_is_written_as_comrak_writes_it(text: str, around: str) -> None:
    text = around.format(text)

    assert seen(to_html(text)) == seen(comrak_html(text))


@pytest.mark.parametrize("text", DIFFERENT)
def test_a_known_difference_is_one(text: str) -> None:
    assert seen(to_html(text)) != seen(comrak_html(text))


@pytest.mark.parametrize("text", MUCH.values(), ids=MUCH)
def test_it_gives_up_before_a_reader_waits(text: str) -> None:
    start = perf_counter()
    try:
        html = to_html(text)
    except TooIntricateError:
        html = ""

    assert perf_counter() - start < 10  # a quarter of that on a quiet machine
    assert len(html) < 100 * len(text)


@pytest.mark.parametrize("text", ["![" * 25_000, "![www.a" * 7_000, "**\\ ![" * 8_000, "[" * 50_000])
def test_brackets_without_end_are_soon_given_up(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    skipped = 0
    count_skip = python_rules.count_skip

    def watched(state: StateInline) -> None:
        nonlocal skipped
        skipped += 1
        count_skip(state)

    monkeypatch.setattr(python_rules, "count_skip", watched)
    with pytest.raises(TooIntricateError):
        to_html(text)

    assert 0 < skipped < 3 * len(text) + 50_000  # and not a hundred for each character


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_a_long_document_is_far_from_too_much(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = path.read_text()
    monkeypatch.setattr(python_parser, "_STEPS_PER_CHARACTER", 0)

    assert to_html((text * (100_000 // len(text) + 1))[:100_000])


@pytest.mark.parametrize("text", [">" * 200, "- " * 200 + "a", "> - " * 100, "a" * 1_000_000, "[" * 100_000])
def test_what_is_too_much_is_refused(text: str) -> None:
    with pytest.raises(TooIntricateError):
        to_html(text)


def seen(html: str) -> str:
    """What is read of the HTML: of the places of blocks and formulas the line where each begins."""
    html = _PLACE_IN_LINE.sub(r"\1", html)
    return _PLACE.sub(r" @\1", html)


def comrak_html(text: str) -> str:
    extensions = comrak.ExtensionOptions()
    extensions.autolink = extensions.footnotes = extensions.strikethrough = True
    extensions.table = extensions.tasklist = extensions.math_dollars = extensions.math_latex = True
    options = comrak.RenderOptions()
    options.escape = options.sourcepos = options.compact_html = True
    return comrak.render_markdown(text, extensions, None, options)


_PLACE_IN_LINE = re.compile(r'(<(?:a|br|code|del|em|img|strong|sup|td|th)) data-sourcepos="[^"]*"')
_PLACE = re.compile(r' data-sourcepos="(\d+):\d+-\d+:\d+"')
