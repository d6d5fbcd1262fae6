"""Polling: one look a second at all the answers that are being read in this process.

It rings for those that changed, so no reader need ask the database by itself, and nothing is lost where
no notification comes: from another process on SQLite, or over a connection that broke.
"""

import asyncio
import logging
from contextlib import suppress

from app import answers
from app.db import Database, Unavailable
from app.wakeups import WakeUps

POLL_SECONDS = 1.0

ALL_LOOKS = 20
"""After so many looks all readers are woken once, whatever was seen."""

_log = logging.getLogger(__name__)


async def poll(database: Database, wakeups: WakeUps) -> None:
    """Look and ring, until this process ends."""
    known: dict[int, tuple[object, ...]] = {}
    looks = 0
    while not wakeups.closing.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await wakeups.closing.wait()
                return
        looks += 1
        if looks % ALL_LOOKS == 0:
            known = {}
        try:
            known = await _ring_for_changes(database, wakeups, known)
        except Unavailable:
            known = {}  # when it is back, everyone looks for themselves
        except Exception:
            _log.exception("the answers that are being read could not be looked at")
            known = {}


async def _ring_for_changes(
    database: Database, wakeups: WakeUps, known: dict[int, tuple[object, ...]]
) -> dict[int, tuple[object, ...]]:
    listened = wakeups.listened()
    if not listened:
        return {}
    async with database.reading() as session:
        latest = await answers.states(session, listened)
    # Also for what was not looked at before: it may have changed since its reader did.
    wakeups.ring(
        message_id
        for message_id in listened
        if message_id not in known or known[message_id] != latest.get(message_id)
    )
    return latest
