"""Growth: a text's rendering, got from that of its beginning by rendering only what can have changed."""

import re
from collections.abc import Iterator, Sequence

from app.markdown.blocks import block
from app.markdown.ends import end_of, has_odd_blanks
from app.markdown.limits import TooIntricateError, is_too_intricate, is_too_large, unformatted
from app.markdown.parsers import longest, to_html
from app.markdown.pieces import Piece, code_length, code_lines, ends_in_code, split, with_open_code_marked
from app.markdown.rendering import NOTHING, Last, Rendering
from app.markdown.shields import shielded, unshielded
from app.markdown.unfinished import completed, without_undecided_end
from app.text import clean

# In characters: below this it is not worth the trouble to tell what is settled.
_SETTLED_FROM = 500
# In characters: what goes on within a longer last line, or piece, is parsed with all that is not settled.
_LONGEST_LAST = 3_000
# Each lexer has its clock, but there can be any number of blocks of code; and what a clock decides is not the
# same each time, nor for a text in steps as for the whole.
_MOST_HIGHLIGHTED = 100_000


def grown(before: Rendering, text: str, *, running: bool) -> Rendering:
    """The rendering of a text; it costs little where the one before is of the text's beginning.

    The blocks depend on the text, and on whether more of it is to come (`running`), and on nothing else.
    """
    known = before if text.startswith(before.settled_text) else NOTHING
    try:
        if len(text) > longest():
            raise TooIntricateError
        tail = text[len(known.settled_text) :]
        longer = (_moved(known, tail) or _lengthened(known, tail)) if running else None
        return longer or _grown(known, text, running=running)
    except TooIntricateError:
        return Rendering(tuple(unformatted(clean(text))))


def _moved(before: Rendering, tail: str) -> Rendering | None:
    """The rendering where an unsettled text only goes on; None if there may be more in it."""
    if not before.end or not (moved := before.end.moved(before.blocks[-1], tail)):
        return None
    last, end = moved
    return before._replace(blocks=(*before.blocks[:-1], last), end=end)


def _lengthened(before: Rendering, tail: str) -> Rendering | None:
    """The rendering where only the last line of an unsettled text goes on; None if more may change."""
    last = before.last
    if not last or len(tail) > _LONGEST_LAST or not tail.startswith(last.text):
        return None
    more = tail[len(last.text) :]
    # A new line may begin anything, HTML may end the piece, what is defined may be meant elsewhere.
    defines = "]:" in tail[len(last.text) - 1 :]
    if "\n" in more or "<" in tail[last.begin :] or defines or clean(more) != more:
        return None
    if without_undecided_end(tail) != tail or shielded(tail) != tail or is_too_intricate(tail):
        return None
    source = tail[last.begin :]
    complete = completed(source)
    pieces = _pieces(complete, running=True)
    blocks = [html for html in _blocks(pieces, last.code) if html]
    if not blocks or len(blocks) < len(pieces) or ends_in_code(pieces[-1]):
        return None
    all_blocks = (*before.blocks[: last.number], *blocks)
    length = before.settled_length + sum(map(len, all_blocks[before.settled :]))
    if is_too_large(length, len(before.settled_text) + len(tail)):
        return None
    return before._replace(
        blocks=all_blocks,
        end=end_of(tail, pieces[-1], blocks[-1]) if complete == source else None,
        last=last._replace(text=tail) if len(pieces) == 1 else None,
    )


def _grown(before: Rendering, text: str, *, running: bool) -> Rendering:
    uncleaned = text[len(before.settled_text) :]
    cleaned = clean(uncleaned)
    decided = without_undecided_end(cleaned) if running else cleaned
    tail = shielded(decided)
    pieces = _pieces(tail, running=running)
    defines = _has_definition(tail, pieces)
    if defines and "[" in before.settled_text:
        # It can make a link of what stands far above it.
        return _grown(NOTHING, text, running=running)
    shown = _as_they_will_read(tail, pieces, defines=defines) if running else pieces
    blocks = [html for html in _blocks(shown, before.settled_code) if html]
    length = before.settled_length + sum(map(len, blocks))
    if len(blocks) < len(shown) or is_too_large(length, len(text)):
        raise TooIntricateError
    known = before._replace(blocks=(*before.blocks[: before.settled], *blocks), end=None, last=None)
    if defines or cleaned != uncleaned:
        return known
    if running and blocks and tail == decided:
        end = end_of(tail, pieces[-1], blocks[-1]) if shown is pieces else None
        known = known._replace(end=end, last=_last(known, tail, pieces) if tail == cleaned else None)
    return _with_more_settled(known, tail, pieces)


def _last(known: Rendering, tail: str, pieces: Sequence[Piece]) -> Last | None:
    last = pieces[-1]
    if not last.line or ends_in_code(last) or tail.endswith("\n") or has_odd_blanks(tail):
        return None
    if len(tail) > _LONGEST_LAST:
        return None
    begin = len(tail) - len("\n".join(tail.split("\n")[last.line - 1 :]))
    # By itself it might be something else: also a table's head, which can be a line of a paragraph.
    is_of_paragraph = last.html.startswith("<table") and begin > 1 and tail[begin - 2 : begin] != "\n\n"
    if is_of_paragraph or tail[begin] in " \t\ufeff":
        return None
    code = known.settled_code + sum(code_length(piece.html) for piece in pieces[:-1])
    return Last(tail, begin, known.settled + len(pieces) - 1, code)


def _blocks(pieces: Sequence[Piece], code: int) -> Iterator[str | None]:
    """The pieces as blocks, where so many characters of code come before them."""
    for piece in pieces:
        length = code_length(piece.html)
        yield block(piece.html, min(length, max(_MOST_HIGHLIGHTED - code, 0)))
        code += length


def _with_more_settled(known: Rendering, tail: str, pieces: Sequence[Piece]) -> Rendering:
    """The same rendering, with as much of its tail settled as can be."""
    number, text = _settled_pieces(tail, pieces) if len(tail) >= _SETTLED_FROM else (0, "")
    if not number:
        return known
    settled = known.settled + number
    end, last, length = known.end, known.last, len(text)
    return known._replace(
        settled=settled,
        settled_text=known.settled_text + text,
        settled_length=known.settled_length + sum(map(len, known.blocks[known.settled : settled])),
        settled_code=known.settled_code + sum(code_length(piece.html) for piece in pieces[:number]),
        end=end._replace(text=end.text[length:]) if end else None,
        last=last._replace(text=last.text[length:], begin=last.begin - length) if last else None,
    )


def _pieces(text: str, *, running: bool) -> list[Piece]:
    if is_too_intricate(text):
        raise TooIntricateError
    pieces = split(unshielded(to_html(text)))
    if running:
        # Only the last piece can still grow, or the one before the footnotes.
        pieces[-2:] = [with_open_code_marked(piece, text) for piece in pieces[-2:]]
    return pieces


def _as_they_will_read(text: str, pieces: Sequence[Piece], *, defines: bool) -> Sequence[Piece]:
    """The pieces, the last one with what it has begun brought to an end."""
    last = pieces[-1:]
    if not last or not last[0].line or ends_in_code(last[0]):
        return pieces
    if defines:
        # It may use what is defined elsewhere, and notes come behind it.
        complete = completed(text)
        return pieces if complete == text else _pieces(complete, running=True)
    source = "\n".join(text.split("\n")[last[0].line - 1 :])
    complete = completed(source)
    return pieces if complete == source else [*pieces[:-1], *_pieces(complete, running=True)]


def _has_definition(text: str, pieces: Sequence[Piece]) -> bool:
    """Whether the text may define what a link or a footnote means, in it or elsewhere."""
    if "]:" not in text:
        return False
    # Between fences at top level it is none, and there it is not rare.
    lines = text.split("\n")
    code = {line for piece in pieces if _begins_with_fence(piece, lines) for line in code_lines(piece)}
    line, position = 1, 0
    for found in _DEFINITION.finditer(text):
        line += text.count("\n", position, found.start("label"))
        position = found.start("label")
        if line not in code:
            return True
    return False


def _begins_with_fence(piece: Piece, lines: Sequence[str]) -> bool:
    return piece.line > 0 and lines[piece.line - 1].lstrip().startswith(("```", "~~~"))


def _settled_pieces(text: str, pieces: Sequence[Piece]) -> tuple[int, str]:
    """How many of the first pieces stay as they are whatever follows, and the text that they are.

    A piece in front of an empty line and of a piece that has begun behind that, for good: there is a
    third one. What the parser has open then is the document alone, so the rest can be read by itself.
    """
    if len(pieces) < 3 or "\n\n" not in text:
        return 0, ""
    # By the number of the line; 0 is that of no line.
    starts = [0, 0, *(newline.end() for newline in re.finditer("\n", text))]
    for number in range(len(pieces) - 2, 0, -1):
        start = starts[pieces[number].line]
        if text[max(start - 2, 0) : start] == "\n\n" and text[start] != "\ufeff":
            return number, unshielded(text[:start])
    return 0, ""


# In front of it there are at most the marks of the lists and quotes that it stands in.
_DEFINITION = re.compile(
    r"^\ufeff?[ \t>*+\-.)\d]*+(?P<label>\[(?:\^[^\]\s]++|(?:[^\[\]\\]|\\.){1,1000}+)\]:)",
    re.MULTILINE | re.DOTALL,
)
