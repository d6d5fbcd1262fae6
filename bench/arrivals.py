"""What bytes that came mean: when each token of an answer had come, by the kind of server that was read."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, pairwise
from typing import Literal

import httptools

from bench.text import tokens
from bench.upstream import Record

Kind = Literal["raw", "tutorial", "text", "html"]
Received = Sequence[tuple[float, bytes]]
"""What came, and when."""


@dataclass(frozen=True)
class Arrivals:
    """When the tokens of one answer were sent, and when those that came had come."""

    sent: list[float]
    come: list[float]
    counted: list[bool]
    """Which of them show something new."""

    @property
    def delivered(self) -> int:
        """How many came."""
        return len(self.come)

    def lags(self, began: float, ended: float) -> Iterator[float]:
        """How long those took that were sent meanwhile."""
        for sent, come, counts in zip(self.sent, self.come, self.counted, strict=False):
            if counts and began <= sent < ended:
                yield come - sent


def arrived(received: Received, kind: Kind, record: Record) -> Arrivals:
    """What of an answer came when."""
    count = len(record.sent)
    come: list[float] = []
    for time, number in _progress(received, kind, record):
        come += [time] * (number - len(come))
    return Arrivals(record.sent, come, _visible(record.start, count) if kind == "html" else [True] * count)


def _progress(received: Received, kind: Kind, record: Record) -> Iterator[tuple[float, int]]:
    """When how many tokens had come."""
    ends = [len(text) for text in _texts(record.start, len(record.sent))][1:]
    bodies: list[bytes] = []

    class Body:
        def on_body(self, data: bytes) -> None:
            bodies.append(data)

    parser, rest, come = httptools.HttpResponseParser(Body()), b"", 0
    for time, data in received:
        bodies.clear()
        parser.feed_data(data)
        *events, rest = re.split(rb"\r?\n\r?\n", rest + b"".join(bodies))
        for event in events:
            if kind == "raw":
                come += b'"content":"' in event and b'"role"' not in event
            elif kind == "tutorial":
                come += event.startswith(b"data:")
            elif event.startswith(b"event: done"):
                come = len(ends)
            elif identified := re.search(rb"^id: ?(\w+)", event, re.MULTILINE):
                position = identified.group(1)
                come = len(ends) if position == b"end" else bisect_right(ends, int(position))
        yield time, come


@cache
def _visible(start: int, count: int) -> list[bool]:
    """Of each token whether a page shows something new with it: half-written Markdown waits for the next.

    What shows nothing is not sent to a page, so it has no lag.
    """
    from app.fragments import changes  # they take half a second to import: only where they are needed
    from app.renderings import shown_now

    shown = [shown_now(f"bench{start}", text, running=True).blocks for text in _texts(start, count)]
    return [bool(changes("1", before, now, bare=True)) for before, now in pairwise(shown)]


def _texts(start: int, count: int) -> Iterable[str]:
    return accumulate(tokens(count, start), initial="")
