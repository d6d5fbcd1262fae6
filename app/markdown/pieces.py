"""Pieces: the parser's HTML, cut at its top level, each piece with the line that it begins in."""

import re
from typing import NamedTuple


class Piece(NamedTuple):
    """A top-level element, or a text that was HTML in the Markdown; `line` is from 1 on, 0 if unknown."""

    html: str
    line: int


def split(html: str) -> list[Piece]:
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
            pieces.append(Piece(piece, _line(top[0])))
        elif text := piece.strip("\n"):
            pieces.append(Piece(f'<pre class="plain">{text}</pre>', 0))
        position = end
    return pieces


def with_open_code_marked(piece: Piece, text: str) -> Piece:
    """The piece, with `open` in the tag of a code block that still awaits its end."""
    if "<pre data" not in piece.html:
        return piece
    last_line = text[text.rfind("\n") + 1 :]
    is_cut = last_line.strip(" \t>") != ""
    lines = text.count("\n") + is_cut

    def mark(block: re.Match[str]) -> str:
        end = _end_of_code(block)
        # After a block that is not open there is its closing fence, or what ended its list or quote.
        if block["language"] and end >= lines:
            return block[0].replace("<pre ", "<pre open ", 1)
        # To indented code comrak adds the newline that has not come yet.
        if is_cut and end > lines and block["code"].endswith("\n"):
            return block[0].removesuffix("\n</code></pre>") + "</code></pre>"
        return block[0]

    return Piece(CODE.sub(mark, piece.html), piece.line)


def ends_in_code(piece: Piece) -> bool:
    """Whether the last thing in the piece is a block of code."""
    return _CODE_AT_END.search(piece.html) is not None


def code_lines(piece: Piece) -> range:
    """The lines that a block of code takes up; none for any other piece."""
    block = CODE.match(piece.html)
    return range(piece.line, _end_of_code(block) + 1) if block else range(0)


def code_length(html: str) -> int:
    """How long the code is that may be highlighted, in characters."""
    return sum(len(block["code"]) for block in CODE.finditer(html) if block["language"] and not block["open"])


def _end_of_code(block: re.Match[str]) -> int:
    """The last line that a block of code has for certain, if it began with a fence."""
    code = block["code"]
    return int(block["line"]) + code.count("\n") + (not code.endswith("\n") and code != "")


def _line(tag: str) -> int:
    place = _PLACE.search(tag)
    return int(place[1]) if place else 0


def _end_of_nesting(html: str, name: str, position: int) -> int:
    depth = 0
    for tag in _NESTING[name].finditer(html, position):
        depth += -1 if tag[1] else 1
        if not depth:
            return tag.end()
    return len(html)


CODE = re.compile(
    r'<pre (?P<open>open )?data-sourcepos="(?P<line>\d+):[^"]*">'
    r'<code(?: class="language-(?P<language>[^"]*)")?>(?P<code>[^<]*)</code></pre>'
)
_CODE_AT_END = re.compile(r"</code></pre>(?:</(?:li|ul|ol|blockquote)>)*$")
_TOP = re.compile(r"<([a-z0-9]+)[^>]*>|[^<]+")
_NESTING = {name: re.compile(rf"<(/?){name}\b[^>]*>") for name in ("blockquote", "ol", "section", "ul")}
_PLACE = re.compile(r' data-sourcepos="(\d+):')
