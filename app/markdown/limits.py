"""Limits: what is too much for a parser, a sanitizer or a browser, and what is shown in its place."""

import re
from html import escape
from math import isqrt

# More than any answer has, less than what upsets comrak, nh3 or a browser.
LONGEST = 2_000_000
DEEPEST = 100

_NOTE = '<p class="note">This text is too intricate to be formatted. Here it is as it was written.</p>'


class TooIntricateError(Exception):
    """A text that cannot be formatted, or not in a time that anyone would wait."""


def unformatted(text: str) -> list[str]:
    """The text as it is, in blocks, after a note that says so."""
    return [_NOTE, f'<pre class="plain">{escape(text, quote=False)}</pre>']


def is_too_intricate(text: str) -> bool:
    """Whether a parser would need time or memory out of proportion to the text.

    Each rule looks at what no empty line parts, so a text is too intricate if a part of it is.
    """
    if len(text) <= _NEVER_COSTLY and "|" not in text:
        return False
    # As if all of it were one table: few texts are looked at more closely.
    many_cells = (1 + text.count("|")) * text.count("\n") > _MOST_CELLS
    if (many_cells or _has_costly_marks(text)) and any(map(_is_costly, _PARTS.split(text))):
        return True
    # comrak looks through all of a bare address again for each bracket that it takes from its end.
    if text.count(")") * len(text) > _COSTLIEST_BRACKETS and any(
        word.count(")") * len(word) > _COSTLIEST_BRACKETS for word in _BLANKS.split(text)
    ):
        return True
    # comrak calls itself, with a copy of the rest of the line, for each mail address in the line.
    return text.count("@") * len(text) > _COSTLIEST_ADDRESSES and any(
        line.count("@") * len(line) > _COSTLIEST_ADDRESSES for line in text.split("\n")
    )


def is_too_large(blocks_length: int, text_length: int) -> bool:
    """Whether the HTML, in characters, is out of proportion to the text."""
    return blocks_length > 100 * text_length + 10_000


def _is_costly(part: str) -> bool:
    # Each row of a table is filled up to the width of the head.
    columns = 1 + max((row.count("|") for row in _DELIMITER_ROW.findall(part)), default=0)
    if columns * part.count("\n") > len(part) + _MOST_CELLS:
        return True
    return _has_costly_marks(part)


def _has_costly_marks(part: str) -> bool:
    # Strikethroughs look for their beginning through all of the paragraph, formulas for their end.
    formulas = part.count("\\(") + part.count("\\[")
    return part.count("~") * len(part) > _COSTLIEST_TILDES or formulas * len(part) > _COSTLIEST_FORMULAS


_MOST_CELLS = 20_000
_COSTLIEST_TILDES = 10_000_000_000
_COSTLIEST_FORMULAS = 1_000_000_000
_COSTLIEST_BRACKETS = 1_000_000_000
_COSTLIEST_ADDRESSES = 10_000_000
# In characters. So many marks times so many characters are less than any of these; only a table costs more.
_NEVER_COSTLY = isqrt(min(_COSTLIEST_TILDES, _COSTLIEST_FORMULAS, _COSTLIEST_ADDRESSES))
_BLANKS = re.compile(r"[ \n]")
_PARTS = re.compile(r"\n{2,}")
# A row of nothing but what a table's delimiter row and the marks of lists and quotes are made of.
_DELIMITER_ROW = re.compile(r"^[ \t\d>*+.)|:-]*+$", re.MULTILINE)
