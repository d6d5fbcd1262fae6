"""The writer: one task that stores what all running answers of a process have produced.

It gathers their text and commits it in one transaction: the first text of an answer at once, then at most
every `FLUSH_SECONDS`. Only then are readers woken. The same transactions carry the process's beat. Where very
many answers run they take turns, in a round of several transactions.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from app import answers, leases
from app.answers import Ending, Piece
from app.db import Database, Statements, Unavailable
from app.leases import BEAT_SECONDS
from app.metrics import Metrics
from app.providers import Pace
from app.running import Running
from app.wakeups import WakeUps

FLUSH_SECONDS = 0.05
"""From one round to the next, for a single answer."""
MORE_SECONDS = 0.00075
"""More for each answer: more tokens share what a transaction and an event cost then, and few notice."""
MOST_SECONDS = 0.125
ENOUGH_SECONDS = 25.0
"""Times the answers that run, at most: very many have a longer way to their readers."""
LEAST_SECONDS = 0.02

RETRY_SECONDS = 0.5
"""Between two tries to write when the database refuses."""
PATIENCE_SECONDS = 15.0
"""How long answers go on being written while the database refuses; then they are interrupted."""
LARGEST_BACKLOG = 256_000
"""Characters of an answer that may wait to be stored while the database refuses."""
LAST_TRIES = 3
"""How often it is tried while the server is being stopped."""

REFUSED = "This answer could not be stored any further, so it was ended."
UNSTORABLE = "The rest of this answer could not be stored."

_log = logging.getLogger(__name__)


def pause_seconds(answers: int, took: float) -> float:
    """How long a writer rests behind a round that took so long: at least for half of what one is to take.

    A SQLite file is free for others then, however slow its disk is.
    """
    return max(round_seconds(answers) - took, round_seconds(answers) / 2)


def round_seconds(answers: int) -> float:
    """How long it is from one round of so many answers to the next, where the work leaves time for that."""
    most = max(min(ENOUGH_SECONDS / max(answers, 1), MOST_SECONDS), LEAST_SECONDS)
    return min(FLUSH_SECONDS + MORE_SECONDS * answers, most)


class Writer:
    """Stores the answers that this process is writing (`running`, by id), which is called `worker`."""

    def __init__(
        self, database: Database, wakeups: WakeUps, worker: str, metrics: Metrics, pace: Pace
    ) -> None:
        self.running: dict[int, Running] = {}
        self.idle = asyncio.Event()
        self._database = database
        self._wakeups = wakeups
        self._worker = worker
        self._metrics = metrics
        self._pace = pace
        self._dirty = asyncio.Event()
        self._urgent = asyncio.Event()
        self._closing = False
        self._beaten = 0.0
        self._refused_since: float | None = None
        self.idle.set()

    def add(self, running: Running) -> None:
        """Store this answer from now on, until it has ended."""
        if earlier := self.running.get(running.message_id):
            # Ended by another process, which was not noticed yet, and gone on with here already.
            self._lose(earlier)
        self.running[running.message_id] = running
        self.idle.clear()
        self._dirty.set()

    def wake(self, *, urgent: bool = False) -> None:
        """Say that there is something to be stored."""
        self._dirty.set()
        if urgent:
            self._urgent.set()

    def look_again(self) -> None:
        """See at once whether every answer is still this process's to write."""
        self._beaten = 0.0
        self.wake(urgent=True)

    def close(self) -> None:
        """End `write` once all that runs has been stored."""
        self._closing = True
        self.wake(urgent=True)

    async def write(self) -> None:
        """Store what comes, until `close`.

        Not to be cancelled: within a commit it could not know whether that had happened.
        """
        tries_left, others_wait, began = LAST_TRIES, False, 0.0
        while self.running or not self._closing:
            await _within(self._until_next_beat(), self._dirty)
            if not others_wait:
                began = monotonic()
            try:
                others_wait = await self._pace.go()
                self._dirty.clear()
                self._urgent.clear()
                await self._flush()
            except Exception as error:
                # Nothing is lost: what could not be written stays with its answer for the next try.
                self._refused(error)
                tries_left -= self._closing
                if not tries_left:
                    return
                await asyncio.sleep(RETRY_SECONDS)
                self._dirty.set()
                continue
            self._refused_since = None
            if not others_wait:
                pause = pause_seconds(len(self.running), monotonic() - began)
                await _within(pause, self._urgent)
            if self._pace.kept:
                self._dirty.set()

    def _until_next_beat(self) -> float | None:
        """In seconds; None while there is nothing to show life for."""
        return max(0.0, self._beaten + BEAT_SECONDS - monotonic()) if self.running else None

    async def _flush(self) -> None:
        batch = [running for running in self.running.values() if running.dirty]
        beats = bool(self.running) and monotonic() - self._beaten >= BEAT_SECONDS
        if not batch and not beats:
            return
        taken = [_Taken.of(running) for running in batch]
        others = [running for running in self.running.values() if beats and not running.dirty]
        if beats:
            # Before and not behind it: who asks meanwhile to `look_again` must not be forgotten.
            self._beaten = monotonic()
        try:
            with self._metrics.commit():
                await self._store(taken, others, beats=beats)
        except Unavailable:
            self._beaten = 0.0
            for running in batch:
                running.doubtful = True
            raise
        except Exception:
            # One answer holds what no database takes. It must not keep the others from theirs.
            _log.exception("answers could not be stored together")
            for one in taken:
                await self._store_alone(one)
        self._wakeups.ring(running.message_id for running in batch)
        if not self.running:
            self.idle.set()

    async def _store_alone(self, taken: "_Taken") -> None:
        try:
            with self._metrics.commit():
                await self._store([taken], [], beats=False)
        except Unavailable:
            taken.running.doubtful = True
            raise
        except Exception:
            message_id = taken.running.message_id
            _log.exception("answer %d cannot be stored further", message_id, extra={"answer_id": message_id})
            if taken.ending and taken.ending.error == UNSTORABLE:
                # Not even its end. The lookout ends what its process has forgotten.
                self._lose(taken.running)
                return
            taken.running.end(Ending("interrupted"))
            taken.running.give_up(Ending("interrupted", UNSTORABLE))
            self._dirty.set()

    async def _store(self, taken: Sequence["_Taken"], others: Sequence[Running], *, beats: bool) -> None:
        """Commit what was taken, and see what became of it and of the others."""
        async with self._database.storing() as session:
            if beats:
                # First, as who takes this process for dead locks the beat and then the answers.
                await leases.beat(session, self._worker)
            looked_at = [*(one.running for one in taken), *others]
            held = await answers.held(session, self._worker, [running.message_id for running in looked_at])
            written = [one for one in taken if held.get(one.running.message_id) == one.running.attempt]
            for one in written:
                if one.running.doubtful:
                    await self._settle_doubt(session, one)
            await answers.append(session, [piece for one in written for piece in one.pieces])
            for one in written:
                if one.notes:
                    await answers.note(session, one.running.message_id, **one.notes)
                if one.ending:
                    await answers.finish(session, one.running.message_id, one.ending)
            await self._database.notify(session, [one.running.message_id for one in written], self._worker)
        for one in written:
            one.let_go()
            if not one.ending:
                self._wakeups.committed[one.running.message_id] = one.running.committed
        for running in looked_at:
            if held.get(running.message_id) != running.attempt:
                self._lose(running)
        for one in written:
            if one.ending:
                self._metrics.ended(one.ending.status)
                self._remove(one.running)

    async def _settle_doubt(self, session: Statements, one: "_Taken") -> None:
        """Find out what the transaction that broke has stored, and do not store it again."""
        stored = await answers.whole(session, one.running.message_id)
        one.running.text.store_up_to(len(stored.text))
        one.running.reasoning.store_up_to(len(stored.reasoning))
        one.running.committed = stored
        one.pieces = one.running.pieces()

    def _lose(self, running: Running) -> None:
        """Let go of an answer that was ended by somebody else, or was deleted."""
        running.lost = True
        running.end(Ending("stopped"))
        self._remove(running)
        self._wakeups.ring([running.message_id])

    def _remove(self, running: Running) -> None:
        if self.running.get(running.message_id) is running:
            del self.running[running.message_id]
            self._wakeups.committed.pop(running.message_id, None)
        running.stored.set()

    def _refused(self, error: Exception) -> None:
        now = monotonic()
        if self._refused_since is None:
            self._refused_since = now
            _log.warning("answers could not be stored, trying again: %s", error)
        if not isinstance(error, Unavailable):
            _log.error("answers could not be stored", exc_info=error)
        for running in self.running.values():
            if (
                now - self._refused_since > PATIENCE_SECONDS
                or running.unstored_length > LARGEST_BACKLOG
                or getattr(error, "full", False)
            ):
                running.end(Ending("interrupted", REFUSED))


@dataclass(slots=True)
class _Taken:
    """What one transaction is to store of an answer."""

    running: Running
    pieces: list[Piece]
    ending: Ending | None
    reasoning_seconds: float | None
    waiting: str | None

    @classmethod
    def of(cls, running: Running) -> "_Taken":
        """All that there is to store of it now."""
        return cls(running, running.pieces(), running.ending, running.unstored_seconds, running.waiting)

    @property
    def notes(self) -> dict[str, Any]:
        """Columns to set."""
        notes = {"reasoning_seconds": self.reasoning_seconds, "waiting": self.waiting}
        return {name: value for name, value in notes.items() if value is not None}

    def let_go(self) -> None:
        """Forget what is stored; more may have come meanwhile."""
        self.running.written(self.pieces, self.notes)
        self.running.doubtful = False
        if self.reasoning_seconds is not None:
            self.running.unstored_seconds = None
        if self.running.waiting == self.waiting:
            self.running.waiting = None


async def _within(seconds: float | None, event: asyncio.Event) -> None:
    """Wait for an event, for so long at most."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
