"""The answer that is measured: 1,500 tokens, Markdown of every kind."""

import re
from itertools import accumulate
from pathlib import Path

TOKENS = 1_500
SAMPLE = (Path(__file__).parent.parent / "e2e" / "answer.md").read_text() + "\n"


def tokens(count: int = TOKENS, start: int = 0) -> list[str]:
    """Pieces of about four characters, as models cut them; the sample again and again."""
    pieces = re.findall(r"\n+|\s?[^\W\d_]{1,6}|\s?\d{1,3}|\s*[^\w\s]{1,2}|\s|_", SAMPLE)
    pieces = pieces[start:] + pieces[:start]
    return (pieces * (count // len(pieces) + 1))[:count]


def starts() -> list[int]:
    """The tokens at which a block begins: where answers begin that are not all to be at the same place."""
    pieces = tokens()
    so_far = list(accumulate(pieces, initial=""))
    whole = len(SAMPLE)
    return [
        number
        for number in range(len(pieces))
        if len(so_far[number]) < whole
        and (number == 0 or so_far[number].endswith("\n\n"))
        and so_far[number].count("```") % 2 == 0
    ]


def written(sample: str, length: int) -> str:
    """A text of a length, out of one sample again and again."""
    return (sample * (length // len(sample) + 1))[:length]
