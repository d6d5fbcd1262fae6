"""The answer that is measured: 1,500 tokens, Markdown of every kind."""

import re
from pathlib import Path

TOKENS = 1_500
SECONDS_PER_TOKEN = 0.01
SAMPLE = (Path(__file__).parent.parent / "e2e" / "answer.md").read_text() + "\n"


def tokens() -> list[str]:
    """Pieces of about four characters, as models cut them."""
    pieces = re.findall(r"\n+|\s?[^\W\d_]{1,6}|\s?\d{1,3}|\s*[^\w\s]{1,2}|\s|_", SAMPLE)
    return (pieces * (TOKENS // len(pieces) + 1))[:TOKENS]


def written(sample: str, length: int) -> str:
    """A text of a length, out of one sample again and again."""
    return (sample * (length // len(sample) + 1))[:length]
