"""Markdown: every message as safe HTML, in blocks."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.markdown import render
from tests.rendered import END, HEAD, prefixes, read

pytestmark = pytest.mark.usefixtures("parser")

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


def test_a_footnote_that_is_defined_again_keeps_its_place() -> None:
    assert render("a[^1]\n\n[^1]: b\n\n# c\n\n[^1]: d\n") == [
        "<p>a<sup>1</sup></p>",
        "<h1>c</h1>",
        "<p><sup>1</sup>: d</p>",
        '<section class="footnotes"><ol><li class="footnote"><p>b</p></li></ol></section>',
    ]


def test_a_footnote_in_a_link_is_a_number_in_brackets() -> None:
    assert ">a[1]</a>" in render("[a[^x]](http://b.c)\n\n[^x]: d")[0]


def test_footnotes_are_numbers_without_ids() -> None:
    assert render("a[^x] b[^x]\n\n[^x]: c") == [
        "<p>a<sup>1</sup> b<sup>1</sup></p>",
        '<section class="footnotes"><ol><li class="footnote"><p>c</p></li></ol></section>',
    ]


def test_a_list_starts_at_its_number() -> None:
    assert render("3. a") == ['<ol start="3"><li>a</li></ol>']


def test_a_growing_paragraph_grows_at_its_end() -> None:
    for text in prefixes("One word, then another: and so on, to the end.", 1):
        assert render(text) == [f"<p>{text.rstrip()}</p>"]


# Formulas


@pytest.mark.parametrize("text", ["$x$", r"\(x\)"])
def test_a_formula_is_mathml(text: str) -> None:
    assert render(text) == ["<p><math><mi>x</mi></math></p>"]


@pytest.mark.parametrize("text", ["$$x$$", r"\[x\]", "\\[\nx\n\\]", "$$\nx\n$$"])
def test_a_formula_may_have_lines_of_its_own(text: str) -> None:
    assert render(text) == ['<p><math display="block"><mi>x</mi></math></p>']


@pytest.mark.parametrize("text", [r"\(\nonsense\)", r"$\nonsense$", r"$$\nonsense$$", "\\(\n\\nonsense\n\\)"])
def test_what_is_no_formula_is_shown_as_its_source(text: str) -> None:
    assert [part.strip() for part in read(text).text] == ["\\nonsense"]
    assert '<code class="formula">' in render(text)[0]


@pytest.mark.parametrize(
    "text",
    [
        "$5 and $6",
        "$5 (cheap) and 10$",
        "from US$7, or 3$",
        "$HOME/$USER",
        "`$x$`",
        "\\$x\\$",
        "US$5-$6",
        "5 $ a $ b",
    ],
)
def test_money_and_code_are_no_formulas(text: str) -> None:
    assert "<math" not in render(text)[0]
    assert read(text).text == [text.replace("\\", "").strip("`")]


@pytest.mark.parametrize("line", ["+ b", "- b", "= b", "> b", "=", "# b", "1. b", "* b"])
@pytest.mark.parametrize("margin", ["", "  ", "> ", "- "])
def test_a_line_of_a_formula_begins_no_block(margin: str, line: str) -> None:
    rest = margin.replace("-", " ")
    html = "".join(render(f"{margin}\\[\n{rest}a\n{rest}{line}\n{rest}\\]"))

    assert html.count("<math" if "#" not in line else "<code") == 1
    assert not re.search(r"<(?:h\d|hr)", html)
    assert html.count("<li>") == ("-" in margin)
    assert html.count("<blockquote>") == (">" in margin)


def test_in_code_a_formula_is_as_it_was_written() -> None:
    assert read("```\n\\[\n- a\n\\]\n```").code == ["\\[\n- a\n\\]\n"]


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


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example%2F.b.example/",
        "http://a.example:99999/",
        "http://a.example／b/",
        "http://a\u202eb/",
        "http://a.b\\",
    ],
)
def test_what_is_an_address_to_some_only_is_no_link(url: str) -> None:
    assert "<a" not in render(f"[c](<{url}>) <{url}>")[0]


def test_the_numbers_of_a_list_have_their_room() -> None:
    assert render("12345. a") == ['<ol start="12345" class="long-numbers"><li>a</li></ol>']


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
        '<p><a href="http://c.d/e.png" target="_blank" rel="nofollow noopener noreferrer">'
        "a b (<bdi>c.d</bdi>)</a></p>"
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

    # It might go on within its line.
    for prefix in prefixes(text.rstrip() + "\n", len(before)):
        is_closed = prefix == text.rstrip() + "\n"
        assert ('<span class="k">' in "".join(render(prefix, running=True))) == is_closed, prefix
    assert read(text).code[-1] == code + "\n"


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("fence", ["```py\n", "```\n", "    "])
def test_open_code_grows_at_its_end_alone(container: str, fence: str) -> None:
    code = "if x:\n    return <b> & ``\n\n\n# é\nend"
    text = inside(container, fence + (code.replace("\n", "\n    ") if fence == "    " else code))
    begun = len(inside(container, fence)) + 1
    htmls = ["".join(render(prefix, running=True)) for prefix in prefixes(text, begun)]
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
