"""Metrics: what the parts of the application say of how it fares, to whoever is told of it.

They are handed one `Metrics` and say what happened. By itself it counts nothing; `prometheus` does.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, get_args

from app.providers import Failure, Usage
from app.tables import Status

StreamKind = Literal["text", "fragments", "page"]
Recovery = Literal["dead", "forgotten", "unclaimed"]
Outcome = Literal["stored", "refused", "failed"]

FAILURES = get_args(Failure)
BROKEN = "broken"
"""The kind of a failure that is none of these."""


class Metrics:
    """What is said where nobody is told of it: nothing is counted, which costs nothing."""

    counts = False
    """Whether anybody is told; else what takes time to find out need not be found out."""

    def watch_running(self, count: Callable[[], int]) -> None:
        """Ask this, whenever somebody looks, how many answers are being written."""

    def asked(self, characters: int) -> None:
        """Count a request to a model."""

    def first_token(self, seconds: float) -> None:
        """Count its first token, so long after it was asked."""

    def next_tokens(self, seconds: float, count: int) -> None:
        """Count others that came together, so long after those before."""

    def answered(self, characters: int, pieces: int, usage: Usage | None) -> None:
        """Count what a request to a model has brought."""

    def failed(self, kind: str) -> None:
        """Count a request to a model that failed, by one of `FAILURES` or as `BROKEN`."""

    def ended(self, status: Status) -> None:
        """Count an answer that this process has ended."""

    def recovered(self, reason: Recovery, status: Status, count: int = 1) -> None:
        """Count answers that this process has ended in the place of who should have."""

    @contextmanager
    def commit(self) -> Iterator[None]:
        """Count and time the transaction of the writer that the block is."""
        yield

    @contextmanager
    def stream(self, kind: StreamKind) -> Iterator[None]:
        """Count a reader while the block runs."""
        yield
