"""Hostile text: whatever a model writes, only what is allowed comes out of it, and in time."""

from time import perf_counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.markdown import render
from tests.rendered import Page, read

pytestmark = pytest.mark.usefixtures("parser")

PIECES = """
a word é 字 \U0001f600 \u202e \u200b \x00 \x1b \ud800 &amp; &lt; &#60; < > " ' \\ * ** _ ~~ ` `` ``` ```py ~~~
[ ] ![ ]( ) [a]( [a][b] [b]: [^1] [^1]: http://a.b https://a.b/?c=d&e#f www.a.b a@b.c <http://a.b>
javascript:x - * + 1. 7) [x] # ## === --- *** | |- |:-:| <b> </b> <div> <!-- --> <?x ?> <![CDATA[ <hx-partial
<script> <template hx-swap-oob="true"> <img/src=x onerror=y> </div><pre>
"""
SPACES = [" ", "  ", "    ", "\t", "\n", "\n\n", "\n    ", "\n> ", "\n- ", "\r\n", ""]
documents = st.lists(
    st.sampled_from(PIECES.split()) | st.sampled_from(SPACES) | st.text(max_size=3), max_size=40
).map("".join)


HOSTILE = [
    # what this page's own library would act upon
    '<hx-partial hx-target="body">x</hx-partial>',
    "<hx-partial >x",
    "<template hx type='partial'>x</template>",
    '<div hx-swap-oob="true" id="log">x</div>',
    '<p sse-connect="/x" hx-sse:connect="/x" sse-close="done">x</p>',
    '<b hx-get="/sign-out" hx-trigger="load" data-hx-get="/x" hx-on:click="x">x</b>',
    '[a](http://a.b "<hx-partial >")',
    "![<hx-partial >](http://a.b/<hx-partial%20>)",
    "[a](<http://a.b/<hx-partial x>>)",
    "[a](http://a.b/<head> '</head><title>x</title>')",
    "```<hx-partial x\ny\n```",
    '```"><hx-partial\ny\n```',
    "<title>x</title><head></head><body onload=x><base href=//a.b>",
    "event: done\ndata: x\n\nid: 7\nretry: 1",
    # markup that runs or loads
    "<script>alert(1)</script>",
    "<ScRiPt/src=//a.b>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg><style><img src=x onerror=alert(1)></style>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--><img src=1 onerror=x>'>",
    "<iframe srcdoc='<script>x</script>'>",
    "<object data=x><embed src=x><link rel=stylesheet href=//a.b><meta http-equiv=refresh content=0>",
    "<form action=//a.b><button formaction=javascript:x>x</button><input autofocus onfocus=x>",
    "<style>@import '//a.b'</style><p style='background:url(//a.b)'>",
    "<details open ontoggle=x><summary>x</summary></details>",
    "<noscript><p title='</noscript><img src=x onerror=x>'>",
    "<!--><img src=x onerror=x>-->",
    "<![CDATA[><img src=x onerror=x>]]>",
    "<?xml-stylesheet href='javascript:x'?>",
    "<a name=body id=log class=message>x</a>",
    "<div>\n\n</div><pre>\n\n```\n</div><pre>\n```\n",
    "</div></article></body></html>",
    "`</code></pre></div>`",
    "```\n</code></pre></div><script>\n```",
    # links that are not to another place
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt:alert(1))",
    "[a](java\\\nscript:alert(1))",
    "[a](java&Tab;script:alert(1))",
    "[a](java&#10;script&colon;alert(1))",
    "[a](&#x6A;avascript:alert(1))",
    "[a](<\x01javascript:alert(1)>)",
    "[a](vbscript:x) [a](data:text/html,x) [a](file:///a/secret) [a](blob:x) [a](about:blank)",
    "[a](/sign-out) [a](//a.b) [a](x) [a](?x) [a](#x) [a](../x) [a]() [a](<>)",
    "[a](http:x) [a](https:/x) [a](http:///x) [a](http:\\\\a.b) [a](https://) [a](http://?x)",
    "[a](http://good.example@a.b) [a](http://good.example\\@a.b) [a](http://x:y@a.b)",
    "<javascript:alert(1)> <data:x> <x-y:z>",
    "[a]: javascript:x\n\n[a] ![a]",
    "![a](javascript:x) ![a](/x.png) ![a](data:image/svg+xml,x)",
    '![a" onerror="x](http://a.b)',
    '[a](http://a.b "x\\" onclick=\\"y")',
    '[a](http://a.b/"onclick="x)',
    "[^<b>]: x\n\n[^<b>]",
    '[^fn-1" onclick=x]: y\n\n[^fn-1" onclick=x]',
    "| <b> | a |\n|:-|-|\n| <td onclick=x> | `|` |",
    "- [x] <input type=checkbox checked>\n- [ ] <b>",
    # text that is not quite text
    "\x00\x01\x1b[31m\x7f\x85",
    "\ud800 \udfff \udc00\ud800",
    "\u202ecod.exe\u202c \u2066x\u2069 \u200f",
    "\ufdd0\ufffe\uffff\ufeff",
    "&#0; &#xD800; &#x110000; &#1; &lt;script&gt;",
    "a" + "\u0301" * 5_000,
    "\U000e0041\U000e0042\ufe0f\ufe0e",
    "a" * 100_000,
]


@example("".join(HOSTILE))
@given(text=documents)
def test_any_text_gives_whole_elements_of_the_allowed_kinds(text: str) -> None:
    blocks = render(text)

    assert [Page(block).roots for block in blocks] == [1] * len(blocks)
    assert Page("".join(blocks)).roots == len(blocks)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(
    "around", ["{}", "> {}", "- a\n\n  {}", "a {} b", "|a|\n|-|\n|{}|", "# {}", "[^1]\n\n[^1]: {}"]
)
def test_hostile_text_gives_only_what_is_allowed(text: str, around: str) -> None:
    blocks = render(around.format(text))

    assert [Page(block).roots for block in blocks] == [1] * len(blocks)


@given(text=documents)
def test_the_same_text_gives_the_same_blocks(text: str) -> None:
    assert render(text) == render(text)


@given(text=documents)
def test_text_cannot_forge_the_place_of_a_code_blocks_controls(text: str) -> None:
    html = "".join(render(text))

    assert html.count("</div><pre>") == html.count('<div class="code-head">') == html.count("<pre><code>")


def times(unit: str, length: int = 100_000) -> str:
    return unit * (length // len(unit))


TOO_MUCH = {
    "quotes": times(">"),
    "lists": times("+ "),
    "lists and quotes": times("> 1. "),
    "nested list lines": "".join("  " * depth + "- a\n" for depth in range(300)),
    "nested emphasis": "*a " * 16_000 + "b* " * 16_000,
    "deep strong": "**a *b " * 7_000 + "c* d** " * 7_000,
    "table as wide as long": "|" + "a|" * 16_000 + "\n|" + "-|" * 16_000 + "\n" + "|a\n" * 11_000,
    "wide table of short rows": "|" + "a|" * 1_000 + "\n|" + "-|" * 1_000 + "\n" + "a\n" * 48_000,
    "wide table in a quote": "> |" + "a|" * 1_000 + "\n> |" + "-|" * 1_000 + "\n" + "> a\n" * 24_000,
    "mail addresses": times("a@b.c "),
    "strikethroughs": times("~~a ~b ", 250_000),
    "formulas without end": times("\\("),
    "brackets behind an address": "http://a.b/" + times(")."),
    "longer than anyone reads": times("word ", 2_500_000),
}
MUCH = TOO_MUCH | {
    "brackets": times("["),
    "closed brackets": "[" * 50_000 + "]" * 50_000,
    "links": times("[a]("),
    "images": times("![[]()"),
    "image links": times("[![a](b)"),
    "emphasis": times("a**b c* "),
    "mixed emphasis": times("*_**__"),
    "backticks": "".join("e" + "`" * length for length in range(440)),
    "angles": times("<"),
    "comments": times("<!-- "),
    "entities": times("&#1"),
    "backslashes": times("\\"),
    "references": "[a]: /" + "u" * 50_000 + "\n\n" + times("[a] ", 50_000),
    "footnotes": "[^1]: x\n\n" + times("[^1]"),
    "footnote of itself": times("[^1]: [^1]\n"),
    "bare links": times("http://a.b/ "),
    "bare link": "http://a.b/" + times(")", 31_000),
    "bare links in brackets": times("(http://a.b/) "),
    "formulas": times("$a$ "),
    "displays": times("\\[\n+ a\n\\]\n\n"),
    "primes": "".join(f"$$a{n}" + "'" * 3900 + "$$\n\n" for n in range(25)),
    "deep quotes of formulas": "> " * 97 + times("$a$ "),
    "displays without end": times("\\[\n"),
    "lines of a display without end": "$$\n" + times("x+y\n") + "\nText",
    "long amounts": "$" + times("1,") + "$",
    "long word between dollars": "$" + times("a") + "$",
    "blanks behind a table's head": "|a\n" + times(" ") + "x",
    "definitions in code": "```\n" + times("[a]:\n"),
    "amounts": times("$5 a$"),
    "dollars": times("$$ $ "),
    "rules": times("---\n\n"),
    "headings": times("# a\n"),
    "fences": times("```\n"),
    "closed fences": times("```py\nx\n```\n"),
    "fences in lists": times("- ```\n"),
    "tasks": times("- [ ] a\n"),
    "table": "a|b\n-|-\n" + times("a|b\n"),
    "html blocks": times("<div>\n\n"),
    "lines": times("a\n"),
    "paragraphs": times("a\n\n"),
    "word": times("a"),
    "blanks": times(" \n"),
    "code": "```py\n" + times("if x: y\n"),
    "closed code": "```py\n" + times("if x: y\n") + "```",
}


@pytest.mark.parametrize("text", TOO_MUCH.values(), ids=TOO_MUCH)
def test_what_cannot_be_formatted_is_shown_as_written(text: str) -> None:
    page = read(text)

    assert page.code == [text]
    assert "is too intricate to be formatted" in page.text[0]


@pytest.mark.parametrize("text", MUCH.values(), ids=MUCH)
def test_intricate_text_is_rendered_before_a_reader_waits(text: str, parser: str) -> None:
    start = perf_counter()
    html = "".join(render(text))
    render(text, running=True)

    # A tenth of that on a quiet machine; Python alone takes its time.
    assert perf_counter() - start < (6 if parser == "comrak" else 30)
    assert len(html) < 60 * len(text) + 10_000


def test_a_long_answer_is_rendered() -> None:
    section = (
        "## Part\n\nSome *words*.\n\n- one\n- two\n\n```py\nif x:\n    pass\n```\n\n|a|b|\n|-|-|\n|1|2|\n\n"
    )

    assert len(render(section * 1_000)) == 5_000
