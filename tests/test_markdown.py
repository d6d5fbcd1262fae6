"""Markdown: every message as safe HTML, in blocks."""

import re
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise
from time import perf_counter

import comrak
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.highlighting import CLASSES
from app.markdown import render
from app.text import clean

TAGS = """
a blockquote br code del div em h1 h2 h3 h4 h5 h6 hr li ol p pre section span strong sup table tbody td th
thead tr ul
"""
CLASS_NAMES = {"code", "code-head", "code-language", "table", "plain", "note", "footnotes", "task", *CLASSES}
ATTRIBUTES = {
    ("a", "href"): r"(?i)(https?://[^\s/\\]|mailto:\S).*",
    ("a", "target"): "_blank",
    ("a", "rel"): "nofollow noopener noreferrer",
    ("ol", "start"): r"\d+",
    ("td", "align"): "left|center|right",
    ("th", "align"): "left|center|right",
    **{(tag, "class"): "|".join(CLASS_NAMES) for tag in ("div", "p", "pre", "section", "span")},
}
HEAD = '<div class="code"><div class="code-head"><span class="code-language">{}</span></div><pre><code>'
END = "</code></pre></div>"


class Page(HTMLParser):
    """Reads HTML as a strict browser would, and keeps what a test asks about; fails on what is not ours."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.roots = 0
        self.text: list[str] = []
        self.code: list[str] = []
        self.links: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == [], "an element is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS.split()
        raw = self.get_starttag_text() or ""
        assert "<" not in raw[1:]
        for name, value in attrs:
            assert value is not None
            assert re.fullmatch(ATTRIBUTES.get((tag, name), "(?!)"), value), (tag, name, value)
        self.roots += not self._open
        if tag == "pre":
            self.code.append("")
        if tag == "a":
            self.links.append(dict(attrs).get("href") or "")
        if tag not in {"br", "hr"}:
            self._open.append(tag)
            if ("class", "code-head") in attrs:
                self._open[-1] = "div in head"

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().partition(" ")[0] == tag

    def handle_data(self, data: str) -> None:
        assert self._open, "text outside of any element"
        if "div in head" not in self._open:
            self.text.append(data)
        if "pre" in self._open:
            self.code[-1] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError("a comment")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError("a declaration")

    def handle_pi(self, data: str) -> None:
        raise AssertionError("a processing instruction")


def read(text: str) -> Page:
    return Page("".join(render(text)))


def prefixes(text: str, start: int = 0) -> Iterator[str]:
    return (text[:end] for end in range(start, len(text) + 1))


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
    "[a](vbscript:x) [a](data:text/html,x) [a](file:///etc/passwd) [a](blob:x) [a](about:blank)",
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


@given(text=documents.filter(lambda text: not re.search(r"!|\^|\[ *[xX]?\]", text)).map(clean))
def test_no_text_is_lost_between_the_blocks(text: str) -> None:
    options = comrak.RenderOptions()
    options.escape = True
    extensions = comrak.ExtensionOptions()
    extensions.table = extensions.strikethrough = extensions.autolink = True
    whole = re.sub("<[^>]*>", "", comrak.render_markdown(text, extensions, None, options))

    assert "".join("".join(read(text).text).split()) == "".join(unescape(whole).split())


@given(text=documents)
def test_text_cannot_forge_the_place_of_a_code_blocks_controls(text: str) -> None:
    html = "".join(render(text))

    assert html.count("</div><pre>") == html.count('<div class="code-head">') == html.count("<pre><code>")


# Blocks


def test_each_top_level_piece_is_a_block() -> None:
    assert render("# a\n\nb *c*\nd\n\n---\n- e\n  - f\n\n> g\n") == [
        "<h1>a</h1>",
        "<p>b <em>c</em>\nd</p>",
        "<hr>",
        "<ul><li>e<ul><li>f</li></ul></li></ul>",
        "<blockquote><p>g</p></blockquote>",
    ]


def test_no_text_is_no_block() -> None:
    assert render("") == render("\n \n") == []


def test_html_is_shown_as_text() -> None:
    assert render('<div class="x">\n<b>a</b>\n</div>\n\nb <i>c</i>') == [
        '<pre class="plain">&lt;div class="x"&gt;\n&lt;b&gt;a&lt;/b&gt;\n&lt;/div&gt;</pre>',
        "<p>b &lt;i&gt;c&lt;/i&gt;</p>",
    ]


def test_a_table_stands_in_an_element_that_can_scroll() -> None:
    assert render("|a|b|\n|-:|-|\n|1|2|") == [
        '<div class="table"><table><thead><tr><th align="right">a</th><th>b</th></tr></thead>'
        '<tbody><tr><td align="right">1</td><td>2</td></tr></tbody></table></div>'
    ]


def test_tasks_are_marked_in_text() -> None:
    assert render("- [ ] a\n- [x] b") == [
        '<ul><li><span class="task">☐</span> a</li><li><span class="task">☑</span> b</li></ul>'
    ]


def test_a_task_of_a_loose_list_has_its_mark_in_its_paragraph() -> None:
    assert render("- [x] a\n\n- b") == [
        '<ul><li><p><span class="task">☑</span> a</p></li><li><p>b</p></li></ul>'
    ]


def test_footnotes_are_numbers_without_ids() -> None:
    assert render("a[^x] b[^x]\n\n[^x]: c") == [
        "<p>a<sup>1</sup> b<sup>1</sup></p>",
        '<section class="footnotes"><ol><li><p>c</p></li></ol></section>',
    ]


def test_a_list_starts_at_its_number() -> None:
    assert render("3. a") == ['<ol start="3"><li>a</li></ol>']


def test_a_growing_paragraph_grows_at_its_end() -> None:
    for text in prefixes("One word, then another: and so on, to the end.", 1):
        assert render(text) == [f"<p>{text.rstrip()}</p>"]


# Links and images


@pytest.mark.parametrize(
    "url", ["http://a.b", "HTTPS://a.b:80/c?d=e#f", "https://[::1]/x", "mailto:a@b.c", "https://a.b/@c"]
)
def test_a_link_to_another_place_opens_apart(url: str) -> None:
    assert render(f"[a]({url} 'title')") == [
        f'<p><a href="{url}" target="_blank" rel="nofollow noopener noreferrer">a</a></p>'
    ]


ELSEWHERE = """
/ /x //a.b x ?x #x javascript:x data:x ftp://a.b http:x https:/a.b http:///a http://x@a.b http://a.b\\@c.d http://a:b@c.d
&#106;avascript:x
"""


@pytest.mark.parametrize("url", ELSEWHERE.split())
def test_any_other_link_is_its_text(url: str) -> None:
    assert render(f"[a](<{url}>)") == ["<p>a</p>"]


def test_bare_addresses_are_links() -> None:
    assert read("see www.a.bc, http://a.bc and x@a.bc.").links == [
        "http://www.a.bc",
        "http://a.bc",
        "mailto:x@a.bc",
    ]


def test_a_link_holds_no_link() -> None:
    assert read("[a <http://b.c>](http://d.e)").links == ["http://d.e"]


def test_an_image_is_a_link_with_its_host() -> None:
    assert render("![a *b*](http://c.d/e.png 'f')") == [
        '<p><a href="http://c.d/e.png" target="_blank" rel="nofollow noopener noreferrer">a b (c.d)</a></p>'
    ]


def test_an_image_that_is_a_link_is_that_link() -> None:
    page = read("[![a](http://b.c/d.png)](http://e.f)")

    assert (page.links, page.text) == (["http://e.f"], ["a"])


@pytest.mark.parametrize("url", ["/a.png", "javascript:x", "data:image/png;base64,x", "mailto:a@b.c", ""])
def test_an_image_of_no_host_is_its_description(url: str) -> None:
    assert render(f"![a]({url})") == ["<p>a</p>"]


# Code


def test_closed_code_is_highlighted() -> None:
    assert render("```py\nif x:\n```") == [HEAD.format("py") + '<span class="k">if</span> x:\n' + END]


@pytest.mark.parametrize("info", ["", " ", "no-such-language"])
def test_code_in_no_known_language_is_plain(info: str) -> None:
    assert render(f"```{info}\nif <b>:\n```") == [HEAD.format(info.strip()) + "if &lt;b&gt;:\n" + END]


def test_indented_code_is_a_code_block() -> None:
    assert render("    a\n\n      b\n\nc") == [HEAD.format("") + "a\n\n  b\n" + END, "<p>c</p>"]


def test_the_label_is_the_first_word_as_text_and_short() -> None:
    assert render('```&lt;b" title=x\n```') == [HEAD.format('&lt;b"') + END]
    assert render(f"```{'x' * 1000}\n```") == [HEAD.format("x" * 30) + END]


FENCES = ["```py\n{}\n```", "~~~~ py x\n{}\n~~~~~", "```py\n{}\n  ```  "]
CONTAINERS = ["", "> ", "- ", "> > ", "> 1. ", "- > ", "- - ", "- [ ] a\n\n  "]


def inside(container: str, text: str) -> str:
    """The text as what is in a list or quote, or both."""
    head, _, mark = container.rpartition("\n")
    rest = re.sub(r"[^> ]", " ", mark)
    return (head + "\n" if head else "") + mark + text.replace("\n", "\n" + rest)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("fence", FENCES)
@pytest.mark.parametrize("before", ["", "b\n\n", "é\n\n- c\n\n      d\n\ne\n\n"])
def test_code_is_highlighted_when_its_fence_closes_and_not_before(
    container: str, fence: str, before: str
) -> None:
    code = "if x:\n\n  y ``` ~~~~\n  ``\n ~~~\n\n"
    text = before + inside(container, fence.format(code))
    closed_at = len(text.rstrip()) - (fence.count("~") > 8)

    for prefix in prefixes(text, len(before)):
        is_closed = len(prefix) >= closed_at
        assert ('<span class="k">' in "".join(render(prefix))) == is_closed, prefix
    assert read(text).code[-1] == code + "\n"


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("fence", ["```py\n", "```\n", "    "])
def test_open_code_grows_at_its_end_alone(container: str, fence: str) -> None:
    code = "if x:\n    return <b> & ``\n\n\n# é\nend"
    text = inside(container, fence + (code.replace("\n", "\n    ") if fence == "    " else code))
    htmls = ["".join(render(prefix)) for prefix in prefixes(text, len(inside(container, fence)) + 1)]
    starts = [html[: html.index(END)] for html in htmls]

    assert all(new.startswith(old) for old, new in pairwise(starts))
    assert read(text).code == [code] if fence != "    " else read(text + "\n").code == [code + "\n"]


def test_open_code_that_something_follows_is_highlighted() -> None:
    assert '<span class="k">if</span>' in "".join(render("> ```py\n> if x:\n\nb"))


def test_code_that_links_follow_is_closed() -> None:
    assert '<span class="k">if</span>' in "".join(render("```py\nif x:\n```\n[a]: http://b.c"))


@given(code=st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]) | st.sampled_from("\n\t <>&`'\"")))
@pytest.mark.parametrize("language", ["", "py", "html", "json", "bash"])
def test_the_text_of_code_is_the_code(language: str, code: str) -> None:
    fence = "`" * 1000

    assert read(f"{fence}{language}\n{code}\n{fence}").code == [code + "\n"]


# Too much


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
    "bare link": "http://a" + times(")"),
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
def test_intricate_text_is_rendered_before_a_reader_waits(text: str) -> None:
    start = perf_counter()
    html = "".join(render(text))

    assert perf_counter() - start < 3  # a tenth of that on a quiet machine
    assert len(html) < 60 * len(text) + 10_000


def test_a_long_answer_is_rendered() -> None:
    section = (
        "## Part\n\nSome *words*.\n\n- one\n- two\n\n```py\nif x:\n    pass\n```\n\n|a|b|\n|-|-|\n|1|2|\n\n"
    )

    assert len(render(section * 1_000)) == 5_000
