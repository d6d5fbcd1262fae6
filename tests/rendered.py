"""Rendered Markdown, read back: which elements it has, what text, what code; and what may be in it."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

from app.markdown import mathematics, render
from app.markdown.highlighting import CLASSES

TAGS = """
a bdi blockquote br code del div em h1 h2 h3 h4 h5 h6 hr li ol p pre section span strong sup table tbody td th
thead tr ul
"""
CLASS_NAMES = {
    "footnote",
    "long-numbers",
    "formula",
    "code",
    "code-head",
    "code-language",
    "table",
    "plain",
    "note",
    "footnotes",
    "task",
    *CLASSES,
}
ATTRIBUTES = {
    ("a", "href"): r"(?i)(https?://[^\s/\\]|mailto:\S).*",
    ("a", "target"): "_blank",
    ("a", "rel"): "nofollow noopener noreferrer",
    ("ol", "start"): r"\d+",
    ("td", "align"): "left|center|right",
    ("th", "align"): "left|center|right",
    **{
        (tag, "class"): "|".join(CLASS_NAMES)
        for tag in ("code", "div", "li", "ol", "p", "pre", "section", "span")
    },
    **{
        (tag, name): "|".join(map(re.escape, values))
        for tag, attributes in mathematics.ATTRIBUTES.items()
        for name, values in attributes.items()
    },
    **{(tag, "class"): f"(?:(?:{'|'.join(names)}) ?)+" for tag, names in mathematics.CLASSES.items()},
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
        assert tag in TAGS.split() or tag in mathematics.TAGS
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
