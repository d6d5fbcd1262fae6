"""Renderings: what is known of a text that was rendered, for when it goes on."""

from typing import NamedTuple

from app.markdown.ends import End


class Last(NamedTuple):
    """The last piece of an unsettled text that is shown to its end, if its last line can go on within it."""

    text: str
    """All of the unsettled text."""
    begin: int
    """Where the piece begins in it."""
    number: int
    """Of the piece's block."""
    code: int
    """How much code that may be highlighted there is before it, in characters."""


class Rendering(NamedTuple):
    """A text's blocks. The first ones, those of the settled text, are settled: they stay."""

    blocks: tuple[str, ...] = ()
    settled: int = 0
    settled_text: str = ""
    settled_length: int = 0
    """Of the settled blocks together, in characters."""
    settled_code: int = 0
    """How much code that may be highlighted there is in them, in characters."""
    end: End | None = None
    """Where the text goes on, if that may take no parser."""
    last: Last | None = None
    """What the parser has to see of the text when its last line goes on, if that is not all."""


NOTHING = Rendering()
