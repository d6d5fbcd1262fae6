"""Ends: where a text that is being written goes on, when that takes no parser.

Most of what a model writes is words behind words, and lines of code behind others. They belong where the
text stands and change nothing of what is there. What might be more than that is left to the parser.
"""

import re
from html import escape
from typing import NamedTuple

from app.markdown.limits import is_too_intricate
from app.markdown.pieces import Piece
from app.markdown.unfinished import without_undecided_end
from app.text import clean


class End(NamedTuple):
    """The end of a text: of its unsettled part, and in the last block made of that."""

    text: str
    """What is shown of it, but for blanks at the end that are not."""
    position: int
    """Where in the block what follows would stand."""
    is_code: bool

    def moved(self, block: str, text: str) -> tuple[str, "End"] | None:
        """The block of a text that only goes on from here, and its end; None if there may be more in it."""
        if not text.startswith(self.text):
            return None
        decided = without_undecided_end(text)
        waiting = text[len(decided) :]
        if len(decided) < len(self.text) or (waiting and clean(waiting) != waiting):
            return None
        found = (_MORE_CODE if self.is_code else _MORE_WORDS).match(decided, len(self.text))
        # In code it defines nothing, but what begins before the code may do so.
        if found is None or "]:" in decided[len(self.text) - 1 :] or is_too_intricate(decided):
            return None
        more = found["shown"]
        html = escape(more, quote=False)
        position = self.position + len(html)
        longer = f"{block[: self.position]}{html}{block[self.position :]}"
        return longer, End(self.text + more, position, self.is_code)


def end_of(text: str, piece: Piece, block: str) -> End | None:
    """The end of a text that is shown, if it is a word or open code.

    For a text that is shown just as it is, with nothing in its last piece left open but code.
    """
    return (
        _end_of_code(text, piece, block)
        if piece.html.startswith("<pre open ")
        else _end_of_words(text, block)
    )


def has_odd_blanks(text: str) -> bool:
    """Whether there are blanks in the last line about which parsers differ, and may change their minds."""
    return _ODD_BLANK.search(text, text.rfind("\n") + 1) is not None


def _end_of_words(text: str, block: str) -> End | None:
    text = text.rstrip(" \n")
    if has_odd_blanks(text):
        return None
    last_line = text[text.rfind("\n") + 1 :]
    word = _LAST_WORD.search(last_line)
    # A table's row may have too many cells, which are not shown; what may be HTML is shown with its blanks.
    if word is None or "|" in last_line or "&lt;" in block or _NO_WORDS.match(block):
        return None
    tags = _CLOSING_TAGS.search(block)
    if tags is None or "</pre>" in tags[0] or not block.endswith(word[1], 0, tags.start()):
        return None
    return End(text, tags.start(), is_code=False)


def _end_of_code(text: str, piece: Piece, block: str) -> End | None:
    lines = text.split("\n")
    # Of code whose first line is indented, the others lose as much.
    if not lines[piece.line - 1].startswith(("```", "~~~")) or not block.endswith(_CLOSED_CODE):
        return None
    if lines[-1] and not _CODE_LINE.match(lines[-1]):
        return None
    return End(text, len(block) - len(_CLOSED_CODE), is_code=True)


# No full stop that words could go on behind: that might be an address. Blanks at the end are not shown.
_MORE_WORDS = re.compile(
    r"(?P<shown>(?:(?<!\.)[^\W_]++|(?<=[^\W_])[,.;:!?’'-]|(?<= )\(|(?<! ) (?=[^\W_]|\())*+) ?\n{0,2}\Z"
)
# Behind a space, so it is not what the line begins with; and no number, which might begin a list.
_LAST_WORD = re.compile(r" \(?([^\W\d_][^\W_]*+(?:[’'-][^\W_]++)*+[,.;:!?’'-]?)\Z")
_ODD_BLANK = re.compile(r"[^\S \t\n]")
_CLOSING_TAGS = re.compile(r"(?:</[a-z0-9]++>)++\Z")
# Code, tables, footnotes, and text that was HTML.
_NO_WORDS = re.compile(r"<(?:div|pre|section)\b")
_CLOSED_CODE = "</code></pre></div>"
# A line that begins with what neither ends code nor waits for what is to come (`without_undecided_end`).
_CODE_LINE = re.compile(r"""[ \t]*+[A-Za-z"'(){}\]@/\\<&%!?.,;^][\t -~]*+""")
_MORE_CODE = re.compile(
    rf"(?P<shown>(?:(?<=\n){_CODE_LINE.pattern}|(?<!\n)[\t -~]++)?+(?:\n++{_CODE_LINE.pattern})*+\n*+)\Z"
)
