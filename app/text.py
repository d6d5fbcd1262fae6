"""Text from outside, made fit to be stored and shown."""

import re

# What no text needs and some storage or page chokes on: control characters other than tab and newline,
# lone surrogates, noncharacters.
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


def clean(text: str) -> str:
    """Newlines as LF, and U+FFFD for each character that is not text."""
    return _UNFIT.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


def is_encodable(text: str) -> bool:
    """Whether a text can be sent as UTF-8: it holds no half of a surrogate pair."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


class Cleaner:
    """Cleans text that arrives in pieces, however it was cut.

    What a cut may have split, a CR from its LF or the halves of a surrogate pair, waits for the
    next piece.
    """

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """The clean text that is certain by now."""
        if not self._held and piece.isascii() and piece.isprintable():
            return piece  # as most are, a few letters each
        piece = self._held + piece
        self._held = piece[-1] if piece and (piece[-1] == "\r" or "\ud800" <= piece[-1] <= "\udbff") else ""
        certain = piece.removesuffix(self._held) if self._held else piece
        return clean(joined(certain))

    def end(self) -> str:
        """What was held back."""
        held, self._held = self._held, ""
        return clean(held)


def joined(text: str) -> str:
    """Each surrogate pair as the one character that it means."""
    return (
        text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        if _PAIR.search(text)
        else text
    )


_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
