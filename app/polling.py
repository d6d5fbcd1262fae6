"""Polling: how a process learns what others write, by one look for all the answers that are read here.

It looks once a second, and at once where it is told that something has changed (`notifications`). What has is
read once for all readers, so none need ask the database by itself, and nothing is lost where no notification
comes: from another process on SQLite, or over a connection that broke.
"""

import asyncio
import logging
from contextlib import suppress

from sqlalchemy.ext.asyncio import AsyncSession

from app import answers
from app.db import Database, Unavailable
from app.wakeups import WakeUps

POLL_SECONDS = 1.0

PAUSE_SECONDS = 0.02
"""Between two looks: what is noted meanwhile is read together."""

ALL_LOOKS = 20
"""After so many seconds' looks all readers are woken once, whatever was seen."""

_log = logging.getLogger(__name__)


async def poll(database: Database, wakeups: WakeUps) -> None:
    """Look, and tell what was found, until this process ends."""
    polling = _Polling(wakeups)
    while not wakeups.closing.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout_at(polling.due):
                await wakeups.changed.wait()
        if wakeups.closing.is_set():
            return
        try:
            await polling.look(database)
        except Unavailable:
            polling.forget()  # when it is back, everyone looks for themselves
        except Exception:
            _log.exception("the answers that are being read could not be looked at")
            polling.forget()
        await asyncio.sleep(PAUSE_SECONDS)


class _Polling:
    """What was seen at the last look at everything, and when the next one is due."""

    def __init__(self, wakeups: WakeUps) -> None:
        self._wakeups = wakeups
        self._loop = asyncio.get_running_loop()
        self._looks = 0
        self._known: dict[int, tuple[object, ...]] = {}
        self.due = self._loop.time() + POLL_SECONDS

    def forget(self) -> None:
        """Take whatever is seen next for a change."""
        self._known = {}
        self.due = self._loop.time() + POLL_SECONDS

    async def look(self, database: Database) -> None:
        """Read what was noted as changed, and once a second what is found to have changed."""
        changed = self._wakeups.take_changed()
        is_due = self._loop.time() >= self.due
        if is_due:
            self.due = self._loop.time() + POLL_SECONDS
        if not changed and not self._wakeups.listened():
            self._known = {}
            return
        async with database.reading() as session:
            if is_due:
                changed |= await self._changed_since(session)
            followed = self._wakeups.followed
            read = {one: followed[one] for one in changed if one in followed}
            found = await answers.read_on(session, read) if read else {}
        for message_id in changed:
            if answer := found.get(message_id):
                self._wakeups.tell(message_id, answer)
            else:
                self._wakeups.ring([message_id])

    async def _changed_since(self, session: AsyncSession) -> set[int]:
        self._looks += 1
        listened, known = self._wakeups.listened(), self._known
        if self._looks % ALL_LOOKS:
            # What this process writes it is not told of by the database.
            listened = [one for one in listened if one not in self._wakeups.committed]
        else:
            known = {}
        self._known = await answers.states(session, listened) if listened else {}
        # Also what was not looked at before: it may have changed since its reader did.
        return {one for one in listened if one not in known or known[one] != self._known.get(one)}
