"""Markdown → safe HTML, in blocks.

Pure: a function of the text. The text is a language model's, so anyone's: HTML in it is shown as text,
nothing in it loads, and the sanitizer runs last.

    text ─► comrak ─► top-level pieces ─► our code blocks, links, tables ─► nh3 ─► blocks
"""

import re
from functools import lru_cache
from html import escape, unescape

import comrak
import nh3

from app.markdown.highlighting import CLASSES, highlight
from app.text import clean

# More than any answer has, less than what upsets comrak, nh3 or a browser.
_LONGEST = 2_000_000
_DEEPEST = 100

_LONGEST_LABEL = 30
_NOTE = '<p class="note">This text is too intricate to be formatted. Here it is as it was written.</p>'


def render(text: str) -> list[str]:
    """Each top-level piece of the Markdown as one well-formed, safe HTML string, in order."""
    text = clean(text)
    if _is_too_much(text):
        return _unformatted(text)
    html = comrak.render_markdown(text, _EXTENSIONS, None, _OPTIONS)
    if len(html) > 100 * len(text) + 10_000:
        return _unformatted(text)
    pieces = _split(html)
    # Only the last piece can still grow, or the one before the footnotes.
    pieces[-2:] = [_with_open_code_marked(piece, text) for piece in pieces[-2:]]
    blocks = [block for piece in pieces if (block := _remembered(piece))]
    return blocks if len(blocks) == len(pieces) else _unformatted(text)


def _is_too_much(text: str) -> bool:
    """Whether comrak would need time or memory out of proportion to the text."""
    if len(text) > _LONGEST:
        return True
    # It fills up each row of a table to the width of the head.
    columns = 1 + max((row.count("|") for row in _DELIMITER_ROW.findall(text)), default=0)
    if columns * text.count("\n") > len(text) + 20_000:
        return True
    # Its strikethroughs look for their beginning through all that came before in the paragraph.
    if any(part.count("~") * len(part) > 10_000_000_000 for part in text.split("\n\n")):
        return True
    # It calls itself, with a copy of the rest of the line, for each mail address in the line.
    return text.count("@") * len(text) > 10_000_000 and any(
        line.count("@") * len(line) > 10_000_000 for line in text.split("\n")
    )


def _unformatted(text: str) -> list[str]:
    return [_NOTE, f'<pre class="plain">{escape(text, quote=False)}</pre>']


def _split(html: str) -> list[str]:
    """The top-level elements, and the text between them: what was HTML in the Markdown."""
    pieces = []
    position = 0
    while top := _TOP.match(html, position):
        name, end = top[1], top.end()
        if name in _NESTING:
            end = _end_of_nesting(html, name, position)
        elif name and name != "hr":
            end = html.index(f"</{name}>", end) + len(f"</{name}>")
        piece = html[position:end]
        if name:
            pieces.append(piece)
        elif text := piece.strip("\n"):
            pieces.append(f'<pre class="plain">{text}</pre>')
        position = end
    return pieces


def _end_of_nesting(html: str, name: str, position: int) -> int:
    depth = 0
    for tag in _NESTING[name].finditer(html, position):
        depth += -1 if tag[1] else 1
        if not depth:
            return tag.end()
    return len(html)


def _with_open_code_marked(piece: str, text: str) -> str:
    """The piece, with `open` in the tag of a code block that still awaits its end."""
    if "<pre data" not in piece:
        return piece
    last_line = text[text.rfind("\n") + 1 :]
    is_cut = last_line.strip(" \t>") != ""
    lines = text.count("\n") + is_cut

    def mark(block: re.Match[str]) -> str:
        length = block["code"].count("\n") + (not block["code"].endswith("\n") and block["code"] != "")
        end = int(block["line"]) + length
        # After a block that is not open there is its closing fence, or what ended its list or quote.
        if block["language"] and end >= lines:
            return block[0].replace("<pre ", "<pre open ", 1)
        # To indented code comrak adds the newline that has not come yet.
        if is_cut and end > lines and block["code"].endswith("\n"):
            return block[0].removesuffix("\n</code></pre>") + "</code></pre>"
        return block[0]

    return _CODE.sub(mark, piece)


def _remembered(piece: str) -> str | None:
    """`_finish`, remembered; by the size of the piece, so that the memory has a bound."""
    if len(piece) <= 2_000:
        return _finish_small(piece)
    return _finish_large(piece) if len(piece) <= 100_000 else _finish(piece)


def _finish(piece: str) -> str | None:
    """A piece of comrak's HTML as it is shown; None if it is nested too deep for that."""
    rewriter = _Rewriter()
    html = _TAG.sub(rewriter, piece)
    return None if rewriter.deepest > _DEEPEST else _SANITIZER.clean(html)


_finish_small = lru_cache(maxsize=8192)(_finish)
_finish_large = lru_cache(maxsize=64)(_finish)


class _Rewriter:
    """Turns each tag of comrak into ours, keeping count of what is open."""

    def __init__(self) -> None:
        self.deepest = 0
        self._depth = 0
        self._links: list[bool] = []  # those open, and whether each is shown as a link

    def __call__(self, tag: re.Match[str]) -> str:
        match tag["name"]:
            case None:
                return _other(tag)
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
        kept = _KEPT.search(attributes)
        return f"<{name}{kept[0] if kept else ''}>"

    def _end(self, name: str) -> str:
        self._depth -= 1
        return _ENDS.get(name, f"</{name}>")

    def _link(self, attributes: str) -> str:
        url = attributes.partition('href="')[2].partition('"')[0]
        # comrak lets an address in angle brackets be a link inside a link.
        self._links.append(not any(self._links) and _LINK.fullmatch(unescape(url)) is not None)
        return f'<a href="{url}">' if self._links[-1] else ""

    def _end_of_link(self) -> str:
        return "</a>" if self._links.pop() else ""


def _other(tag: re.Match[str]) -> str:
    if tag["code"] is not None:
        return _code_block(tag)
    if tag["task"]:
        # Text, not a form control: it can do nothing, and needs no name to be read out.
        mark = "☑" if tag["done"] else "☐"
        return f'{"<p>" if tag["paragraph"] else ""}<span class="task">{mark}</span> '
    return ""  # the way back from a footnote: without ids it leads nowhere


def _code_block(block: re.Match[str]) -> str:
    code, language = unescape(block["code"]), unescape(block["language"] or "")
    shown = escape(code) if block["open"] or not language else highlight(code, language)
    label = escape(language[:_LONGEST_LABEL])
    # Only here `</div><pre>` is written: the controls of a code block are put at that place.
    return (
        f'<div class="code"><div class="code-head"><span class="code-language">{label}</span></div>'
        f"<pre><code>{shown}</code></pre></div>"
    )


def _image(attributes: str, *, in_link: bool) -> str:
    """A link to the image, with its host; its description alone where there can be no link."""
    url = attributes.partition('src="')[2].partition('"')[0]
    description = attributes.partition('alt="')[2].partition('"')[0]
    link = _LINK.fullmatch(unescape(url))
    host = escape(link["host"] or "") if link else ""
    if not host or in_link:
        return description or host
    return f'<a href="{url}">{f"{description} ({host})".strip()}</a>'


# A row of nothing but what a table's delimiter row and the marks of lists and quotes are made of.
_DELIMITER_ROW = re.compile(r"^[ \t\d>*+.)|:-]*+$", re.MULTILINE)

# In comrak's HTML the only `<` and `>` are those of its tags.
_TOP = re.compile(r"<([a-z0-9]+)[^>]*>|[^<]+")
_NESTING = {name: re.compile(rf"<(/?){name}\b[^>]*>") for name in ("blockquote", "ol", "section", "ul")}
_CODE = re.compile(
    r'<pre (?P<open>open )?data-sourcepos="(?P<line>\d+):[^"]*">'
    r'<code(?: class="language-(?P<language>[^"]*)")?>(?P<code>[^<]*)</code></pre>'
)
_TAG = re.compile(
    _CODE.pattern
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
_KEPT = re.compile(r' (?:start="\d+"|align="[a-z]+")')
# Absolute, and read by every browser as the host that it shows: no `https:path`, no name before an `@`.
_LINK = re.compile(
    r"https?://(?P<host>\[[\da-f:.]+\]|[^\s/?#@\\:\[\]]+)(?::\d+)?(?:[/?#]\S*)?|mailto:\S+", re.IGNORECASE
)


def _extensions() -> comrak.ExtensionOptions:
    options = comrak.ExtensionOptions()
    options.autolink = options.footnotes = options.strikethrough = options.table = options.tasklist = True
    return options


def _options() -> comrak.RenderOptions:
    options = comrak.RenderOptions()
    options.escape = options.sourcepos = True
    options.compact_html = True  # no newline before a closing tag, so that a block grows at its end
    return options


_EXTENSIONS = _extensions()
_OPTIONS = _options()
_TAGS = """
a blockquote br code del div em h1 h2 h3 h4 h5 h6 hr li ol p pre section span strong sup table tbody td th
thead tr ul
"""
_SANITIZER = nh3.Cleaner(
    tags=set(_TAGS.split()),
    clean_content_tags=set(),
    attributes={"*": set(), "a": {"href"}, "ol": {"start"}, "td": {"align"}, "th": {"align"}},
    allowed_classes={
        "div": {"code", "code-head", "table"},
        "pre": {"plain"},
        "section": {"footnotes"},
        "span": {"code-language", "task", *CLASSES},
    },
    set_tag_attribute_values={"a": {"target": "_blank"}},
    link_rel="nofollow noopener noreferrer",
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
)
