"""States: what is stored of an answer at one moment, and how much of it a reader has."""

import re
from typing import NamedTuple

from app.tables import Status

_POSITIONS = re.compile(r"([0-9]{1,12})(?:-([0-9]{1,12}))?")


class Answer(NamedTuple):
    """What is stored of an answer at one moment."""

    status: Status
    text: str = ""
    reasoning: str = ""
    error: str = ""
    reasoning_seconds: float | None = None
    waiting: str = ""

    @property
    def running(self) -> bool:
        """Whether more may come."""
        return self.status == "generating"

    @property
    def thinking(self) -> bool:
        """Whether its reasoning is still being written, as far as one can tell: no text has come yet."""
        return self.running and not self.text


class Seen(NamedTuple):
    """How much of an answer a reader has: characters of its text and of its reasoning, or the ended whole.

    As a string it is the id of an event: `12`, `12-345`, `end`.
    """

    text: int = 0
    reasoning: int = 0
    ended: bool = False

    def __str__(self) -> str:
        position = f"{self.text}-{self.reasoning}" if self.reasoning else f"{self.text}"
        return "end" if self.ended else position

    @classmethod
    def of(cls, answer: Answer) -> "Seen":
        """What a reader has who was just sent all of it."""
        return cls(len(answer.text), len(answer.reasoning), not answer.running)

    @classmethod
    def read(cls, event_id: str) -> "Seen | None":
        """From the id of an event; a number alone is a position in the text. None if it makes no sense."""
        if event_id == "end":
            return cls(ended=True)
        numbers = _POSITIONS.fullmatch(event_id)
        return cls(int(numbers[1]), int(numbers[2] or 0)) if numbers else None

    def is_of(self, answer: Answer) -> bool:
        """Whether somebody can have this much of an answer."""
        if self.ended:
            return not answer.running
        return self.text <= len(answer.text) and self.reasoning <= len(answer.reasoning)
