"""Leases: which process writes an answer, whether it lives, and what becomes of the answers of a dead one.

A process that writes answers shows that it lives by its beat, a number that grows twice a second
in the transactions that store their text. Whoever sees the same number in several looks in a row takes
the process for dead. No clock is asked: clocks jump, and differ between hosts. Where the process was
only held up, no harm is done: what it writes late is refused (`answers.held`), because its answers have
ended or are another's.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from time import monotonic

from sqlalchemy import delete, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import answers, schema
from app.answers import STOPPED, Ending
from app.db import Database, Statements, Unavailable
from app.metrics import Metrics
from app.tables import Message, Worker

BEAT_SECONDS = 0.5
LOOK_SECONDS = 0.8
LOOKS = 3
"""Looks without a beat between them after which a process is dead: noticed within five seconds."""

UNCLAIMED_LOOKS = 75
"""Looks after which an answer that no process took up has failed."""

CLAIMED = 20
"""How many answers a process takes up at once."""

UNCLAIMED = (
    "No process that writes answers is running. Start one with `python -m app worker`, then try again."
)

# Written out: SQLAlchemy has it in the words of one database at a time, and PostgreSQL's take 2 MB.
_BEAT = text(
    "INSERT INTO workers (id, beat) VALUES (:id, 1) ON CONFLICT (id) DO UPDATE SET beat = workers.beat + 1"
)

_log = logging.getLogger(__name__)


async def beat(session: Statements, worker: str) -> None:
    """Show that this process lives."""
    await session.execute(_BEAT, {"id": worker})


async def leave(session: Statements, worker: str) -> None:
    """Remove what told that this process lives."""
    await session.execute(delete(Worker).where(Worker.id == worker))


async def claim(session: AsyncSession, worker: str) -> Sequence[Message]:
    """Take up answers that no process has; each is given to one process only."""
    rows = (
        select(Message)
        .where(Message.status == "generating", Message.worker.is_(None))
        .order_by(Message.id)
        .limit(CLAIMED)
        .with_for_update(skip_locked=True)
    )
    claimed = (await session.scalars(rows)).all()
    if claimed:
        ids = [message.id for message in claimed]
        await session.execute(update(Message).where(Message.id.in_(ids)).values(worker=worker))
    return claimed


class Lookout:
    """Looks after the answers of all processes, and ends those that nobody writes any more."""

    def __init__(self, database: Database, worker: str, metrics: Metrics | None = None) -> None:
        self._database = database
        self._worker = worker
        self._metrics = metrics or Metrics()
        # What was the same in each of the last looks, and in how many: beats of workers, lone answers.
        self._beats: dict[str, tuple[int | None, int]] = {}
        self._lone: dict[int, int] = {}
        self.unclaimed = False
        """Whether the last look found answers that no process has taken up."""

    def forget(self) -> None:
        """Begin anew: what was seen may be no process's fault but the database's."""
        self._beats.clear()
        self._lone.clear()

    async def watch(
        self, running: Collection[int], found: Callable[[Sequence[int], bool], None], ending: asyncio.Event
    ) -> None:
        """Look once in `LOOK_SECONDS` until `ending`.

        `running` are the answers that this process writes at each moment. `found` is told which others
        changed, and whether some wait for a process.
        """
        told = ""
        while not ending.is_set():
            try:
                found(await self.look(set(running)), self.unclaimed)
            except Unavailable:
                self.forget()
            except schema.Wrong as error:
                # A worker is asked by nobody, so this is where its log says what it waits for.
                if told != (told := str(error)):
                    _log.error(told)
                self.forget()
            except Exception:
                _log.exception("the answers of other processes could not be looked after")
                self.forget()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await ending.wait()

    async def look(self, running: Collection[int]) -> list[int]:
        """Look once, and end what is to be ended; the ids of answers that changed.

        `running` are those that this process writes. Raises db.Unavailable.
        """
        async with self._database.reading() as session:
            rows = select(Message.id, Message.worker, Worker.beat).join(
                Worker, Worker.id == Message.worker, isouter=True
            )
            found = (await session.execute(rows.where(Message.status == "generating"))).all()
        beats = {worker: beat for _, worker, beat in found if worker and worker != self._worker}
        lone = {row.id: row.worker for row in found if row.worker in (None, self._worker)}
        self._beats = {worker: (beat, self._looks_at(worker, beat)) for worker, beat in beats.items()}
        self.unclaimed = None in lone.values()
        self._lone = {
            message_id: self._lone.get(message_id, -1) + 1 for message_id in lone if message_id not in running
        }
        changed = []
        for worker, (beat, looks) in list(self._beats.items()):
            if looks >= LOOKS:
                changed += await self._end_those_of(worker, beat)
        if any(looks == LOOKS - 1 for _, looks in self._beats.values()) and not await self._can_write():
            # Those who live waited too, and may be behind this process when it is their turn.
            self._beats.clear()
        for message_id, looks in list(self._lone.items()):
            if looks >= (LOOKS if lone[message_id] else UNCLAIMED_LOOKS):
                changed += await self._end_lone(message_id, lone[message_id])
        return changed

    def _looks_at(self, worker: str, beat: int | None) -> int:
        before, looks = self._beats.get(worker, (beat, -1))
        return looks + 1 if before == beat else 0

    async def _can_write(self) -> bool:
        """Whether who lives could have shown it: on SQLite one transaction keeps all others waiting."""
        asked = monotonic()
        async with self._database.storing():
            return monotonic() - asked <= BEAT_SECONDS

    async def _end_those_of(self, worker: str, seen: int | None) -> list[int]:
        asked = monotonic()
        async with self._database.storing() as session:
            latest = await session.scalar(select(Worker.beat).where(Worker.id == worker).with_for_update())
            if latest != seen or monotonic() - asked > BEAT_SECONDS:
                # It lives, or could not have written either while this waited for the lock.
                self._beats.pop(worker, None)
                return []
            of_worker = select(Message.id).where(Message.status == "generating", Message.worker == worker)
            of_worker = of_worker.order_by(Message.id)
            ended = [
                message_id
                for message_id in (await session.scalars(of_worker)).all()
                if await answers.finish(session, message_id, Ending("interrupted", STOPPED))
            ]
            await leave(session, worker)
            await self._database.notify(session, ended, self._worker)
        self._beats.pop(worker, None)
        self._metrics.recovered("dead", "interrupted", len(ended))
        return ended

    async def _end_lone(self, message_id: int, worker: str | None) -> list[int]:
        async with self._database.writing() as session:
            columns = select(Message.worker, (Message.text != "").label("has_text"))
            of_nobody = columns.where(Message.id == message_id).with_for_update()
            row = (await session.execute(of_nobody)).one_or_none()
            if worker:
                ending = Ending("interrupted", STOPPED)
            else:
                # What was to be gone on with has a text, and can still be.
                ending = Ending("interrupted" if row and row.has_text else "failed", UNCLAIMED)
            ended = row and row.worker == worker and await answers.finish(session, message_id, ending)
            await self._database.notify(session, [message_id], self._worker)
        self._lone.pop(message_id, None)
        if ended:
            self._metrics.recovered("forgotten" if worker else "unclaimed", ending.status)
        return [message_id] if ended else []
