"""`python -m e2e.ailing serve`: the application, whose SQLite falls ill by a signal and is well by another.

SIGUSR1: full. SIGUSR2: read-only. SIGHUP: well again. Nobody waits long for a lock.
"""

import signal
from types import FrameType
from typing import Literal

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine

import app.cli
import app.engines
from tests.storage import Ills

ILLS: dict[int, Literal["full", "read-only", "well"]] = {
    signal.SIGUSR1: "full",
    signal.SIGUSR2: "read-only",
    signal.SIGHUP: "well",
}

ailing: list[Ills] = []
sqlite_engine = app.engines.sqlite_engine


def ailing_engine(url: URL, *, writes: bool) -> AsyncEngine:
    """An engine that can fall ill, if it writes."""
    engine = sqlite_engine(url, writes=writes)
    if writes:
        ailing.append(Ills(engine.sync_engine))
    return engine


def fall_ill(number: int, frame: FrameType | None) -> None:
    """Be as the signal says."""
    for one in ailing:
        one.now = ILLS[number]


if __name__ == "__main__":
    app.engines.BUSY_SECONDS = 1
    app.engines.sqlite_engine = ailing_engine
    for number in ILLS:
        signal.signal(number, fall_ill)
    app.cli.main()
