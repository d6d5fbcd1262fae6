"""Blocks: the parser's HTML → what is shown, safe, one top-level piece at a time."""

import re
from functools import lru_cache
from html import escape, unescape

import nh3

from app.markdown import mathematics
from app.markdown.highlighting import CLASSES, highlight
from app.markdown.limits import DEEPEST
from app.markdown.pieces import CODE

_LONGEST_LABEL = 30


def block(piece: str, highlighted: int) -> str | None:
    """A piece as one well-formed, safe HTML string; None if it is nested too deep for a browser.

    Of its code the first `highlighted` characters, at most, are in colours.
    Remembered, by the size of the piece, so that the memory has a bound.
    """
    if len(piece) <= 2_000:
        return _finish_small(piece, highlighted)
    return _finish_large(piece, highlighted) if len(piece) <= 100_000 else _finish(piece, highlighted)


def _finish(piece: str, highlighted: int) -> str | None:
    rewriter = _Rewriter(highlighted)
    html = _TAG.sub(rewriter, piece)
    if rewriter.deepest > DEEPEST:
        return None
    html = _SANITIZER.clean(html)
    # What was an address to us and none to the sanitizer.
    return _NO_LINK.sub(r"\1", html) if "<a target" in html else html


_finish_small = lru_cache(maxsize=8192)(_finish)
_finish_large = lru_cache(maxsize=64)(_finish)


class _Rewriter:
    """Turns each tag of the parser into ours, keeping count of what is open."""

    def __init__(self, highlighted: int) -> None:
        self.deepest = 0
        self._highlighted = highlighted  # characters of code, still
        self._depth = 0
        self._links: list[bool] = []  # those open, and whether each is shown as a link

    def __call__(self, tag: re.Match[str]) -> str:
        match tag["name"]:
            case None:
                return _other(tag) if tag["code"] is None else self._code_block(tag)
            case "a":
                return self._end_of_link() if tag["end"] else self._link(tag["attributes"])
            case "img":
                return _image(tag["attributes"], in_link=any(self._links))
            case "br" | "hr" as void:
                return f"<{void}>"
            case name:
                return self._end(name) if tag["end"] else self._start(name, tag["attributes"])

    def _start(self, name: str, attributes: str) -> str:
        self._depth += 1
        self.deepest = max(self.deepest, self._depth)
        if name in _STARTS:
            return _STARTS[name]
        if name == "sup" and any(self._links):
            return "["  # no link within a link
        if name == "li" and ' id="fn-' in attributes:
            return '<li class="footnote">'
        if name == "ol" and _LONG_NUMBERS.search(attributes):
            attributes += ' class="long-numbers"'
        kept = _KEPT.search(attributes)
        return f"<{name}{kept[0] if kept else ''}>"

    def _end(self, name: str) -> str:
        self._depth -= 1
        if name == "sup" and any(self._links):
            return "]"
        return _ENDS.get(name, f"</{name}>")

    def _link(self, attributes: str) -> str:
        url = attributes.partition('href="')[2].partition('"')[0]
        # comrak lets an address in angle brackets be a link inside a link.
        self._links.append(not any(self._links) and _LINK.fullmatch(unescape(url)) is not None)
        return f'<a href="{url}">' if self._links[-1] else ""

    def _end_of_link(self) -> str:
        return "</a>" if self._links.pop() else ""

    def _code_block(self, tag: re.Match[str]) -> str:
        code, language = unescape(tag["code"]), unescape(tag["language"] or "")
        shown = escape(code)
        if language and not tag["open"]:
            self._highlighted -= len(tag["code"])
            shown = highlight(code, language) if self._highlighted >= 0 else shown
        label = escape(language[:_LONGEST_LABEL])
        # Only here `</div><pre>` is written: the controls of a code block are put at that place.
        return (
            f'<div class="code"><div class="code-head"><span class="code-language">{label}</span></div>'
            f"<pre><code>{shown}</code></pre></div>"
        )


def _other(tag: re.Match[str]) -> str:
    if tag["math"]:
        return _formula(tag)
    if tag["task"]:
        # Text, not a form control: it can do nothing, and needs no name to be read out.
        mark = "☑" if tag["done"] else "☐"
        return f'{"<p>" if tag["paragraph"] else ""}<span class="task">{mark}</span> '
    return ""  # the way back from a footnote: a browser has its own


def _formula(tag: re.Match[str]) -> str:
    """A formula as MathML, as its source where that is no TeX; text that only looks like one as text."""
    source = unescape(tag["math"])
    is_display = tag["style"] == "display"
    # Between two dollar signs, not in `\\(…\\)`, there may be anything.
    width = int(tag["end_column"]) - int(tag["column"]) + 1 - len(source.encode())
    may_be_dollars = width == 2 or tag["first_line"] != tag["last_line"]
    if not is_display and may_be_dollars and mathematics.is_prose(source):
        return f"${tag['math']}$"
    return mathematics.mathml(source, display=is_display) or f'<code class="formula">{tag["math"]}</code>'


def _image(attributes: str, *, in_link: bool) -> str:
    """A link to the image, with its host; its description alone where there can be no link."""
    url = attributes.partition('src="')[2].partition('"')[0]
    description = attributes.partition('alt="')[2].partition('"')[0]
    link = _LINK.fullmatch(unescape(url))
    host = escape(link["host"] or "") if link else ""
    if not host or in_link:
        return description or host
    # The host by itself, so that the description cannot turn its letters round.
    return f'<a href="{url}">{f"{description} (<bdi>{host}</bdi>)".strip()}</a>'


_TAG = re.compile(
    CODE.pattern
    + r'|<span data-math-style="(?P<style>inline|display)" '
    + r'data-sourcepos="(?P<first_line>\d+):(?P<column>\d+)-(?P<last_line>\d+):(?P<end_column>\d+)">'
    + r"(?P<math>[^<]*)</span>"
    + r'|(?P<task><input type="checkbox" (?P<done>checked="" )?disabled="" />) (?P<paragraph><p [^>]*>)?'
    + r'| ?<a href="#fnref-[^"]*" class="footnote-backref"[^>]*>[^<]*(?:<sup[^>]*>[^<]*</sup>)?</a>'
    + r"|<(?P<end>/?)(?P<name>[a-z0-9]+)(?P<attributes>[^>]*)>"
)
_STARTS = {
    "pre": '<pre class="plain">',
    "section": '<section class="footnotes">',
    "table": '<div class="table"><table>',
}
_ENDS = {"table": "</table></div>"}
_KEPT = re.compile(r' (?:start="\d+"(?: class="long-numbers")?|align="[a-z]+")')
_LONG_NUMBERS = re.compile(r' start="\d{5,}"')
_NO_LINK = re.compile(r'<a target="_blank"[^>]*>(.*?)</a>', re.DOTALL)
# Absolute, and read by every browser as the host that it shows: no `https:path`, no name before an `@`.
_LINK = re.compile(
    r"https?://(?P<host>\[[\da-f:.]+\]|[^\s/?#@\\:\[\]]+)(?::\d+)?(?:[/?#]\S*)?|mailto:\S+", re.IGNORECASE
)
_TAGS = """
a bdi blockquote br code del div em h1 h2 h3 h4 h5 h6 hr li ol p pre section span strong sup table tbody td th
thead tr ul
"""
_SANITIZER = nh3.Cleaner(
    tags={*_TAGS.split(), *mathematics.TAGS},
    clean_content_tags=set(),
    attributes={"*": set(), "a": {"href"}, "ol": {"start"}, "td": {"align"}, "th": {"align"}},
    tag_attribute_values=mathematics.ATTRIBUTES,
    allowed_classes={
        **mathematics.CLASSES,
        "code": {"formula"},
        "div": {"code", "code-head", "table"},
        "li": {"footnote"},
        "ol": {"long-numbers"},
        "pre": {"plain"},
        "section": {"footnotes"},
        "span": {"code-language", "task", *CLASSES},
    },
    set_tag_attribute_values={"a": {"target": "_blank"}},
    link_rel="nofollow noopener noreferrer",
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
)
