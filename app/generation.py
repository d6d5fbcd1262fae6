"""Generation: answers are written by tasks of their own, and stored before anyone is shown a word.

A task belongs to the server, not to a request: whoever disconnects, it goes on. One writer gathers
what all running answers have produced and commits it in one transaction, the first text of an answer
at once and then at most every `FLUSH_SECONDS`; only then are readers woken. An answer ends once:
complete, stopped by its user, failed, or interrupted with the text that it had.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from time import monotonic

from sqlalchemy.exc import OperationalError

from app import answers
from app.answers import Ending, Piece
from app.db import Database
from app.providers import ChatMessage, Delta, ProviderError
from app.running import Running
from app.wakeups import WakeUps

FLUSH_SECONDS = 0.05
RETRY_SECONDS = 0.5
"""Between two tries to write when the database refuses."""
LAST_TRIES = 3
"""How often it is tried while the server is being stopped."""

Answering = Callable[[list[ChatMessage]], AsyncGenerator[Delta, None]]
"""What answers: an async generator function of the messages so far."""

_log = logging.getLogger(__name__)


class Generations:
    """The answers that this process is writing."""

    def __init__(
        self,
        database: Database,
        wakeups: WakeUps,
        answering: Answering,
        *,
        answer_limit: int,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._database = database
        self._wakeups = wakeups
        self._answering = answering
        self._answer_limit = answer_limit
        self._clock = clock
        self._running: dict[int, Running] = {}
        self._dirty = asyncio.Event()
        self._urgent = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._closing = False

    async def open(self) -> None:
        """Start the writer, after ending what an earlier process left unfinished."""
        async with self._database.writing() as session:
            for message_id in await answers.orphans(session):
                ending = Ending("interrupted", "The server was stopped while this was being written.")
                await answers.finish(session, message_id, ending)
        self._writer = asyncio.create_task(self._write(), name="answers' writer")

    def start(self, message_id: int, messages: Sequence[ChatMessage]) -> None:
        """Begin to write an answer that is stored as `generating`."""
        running = Running(message_id, self._answer_limit, self._clock)
        self._running[message_id] = running
        running.task = asyncio.create_task(self._answer(running, list(messages)), name=f"answer {message_id}")

    async def stop(self, message_id: int) -> None:
        """End an answer with the text that it has; returns when that is stored. Nothing if it has ended."""
        if running := self._running.get(message_id):
            self._end(running, Ending("stopped"))
            await running.stored.wait()
            return
        # Nobody is writing it, whatever the database says.
        async with self._database.writing() as session:
            if await answers.still_running(session, [message_id]):
                await answers.finish(session, message_id, Ending("stopped"))
        self._wakeups.ring([message_id])

    def forget(self, message_id: int) -> None:
        """End an answer that was deleted."""
        if running := self._running.get(message_id):
            self._end(running, Ending("stopped"))
        self._wakeups.ring([message_id])

    async def close(self) -> None:
        """Interrupt what is running, store it, and end the writer."""
        tasks = [running.task for running in self._running.values() if running.task]
        for running in list(self._running.values()):
            self._end(running, Ending("interrupted", "The server was stopped while this was being written."))
        await asyncio.gather(*tasks, return_exceptions=True)
        # The writer is let finish: cancelled within a commit, it could not know whether that had happened.
        self._closing = True
        self._dirty.set()
        self._urgent.set()
        if self._writer:
            await self._writer

    async def _answer(self, running: Running, messages: list[ChatMessage]) -> None:
        ending = Ending("complete")
        try:
            async with aclosing(self._answering(messages)) as deltas:
                async for delta in deltas:
                    self._take(running, delta)
                    if running.full:
                        running.finish = "length"
                        break
        except ProviderError as error:
            running.come_to_end()
            ending = Ending("interrupted" if running.text.length else "failed", str(error))
        except asyncio.CancelledError:
            ending = Ending("interrupted", "The server was stopped while this was being written.")
        except Exception:
            _log.exception("answer %d failed", running.message_id)
            running.come_to_end()
            ending = Ending(
                "interrupted" if running.text.length else "failed",
                "Something went wrong on this server while it was answering.",
            )
        self._end(running, ending)

    def _take(self, running: Running, delta: Delta) -> None:
        if running.ending:
            return
        first = running.take(delta)
        if running.dirty:
            self._dirty.set()
            if first:
                self._urgent.set()

    def _end(self, running: Running, ending: Ending) -> None:
        """Settle how an answer ends; the first word stands."""
        if running.ending is None:
            running.come_to_end()
            running.ending = Ending(
                ending.status,
                ending.error,
                finish=running.finish,
                prompt_tokens=running.prompt_tokens,
                completion_tokens=running.completion_tokens,
            )
            # Once only: a second time could hit it while it closes the connection to the model.
            if running.task and running.task is not asyncio.current_task():
                running.task.cancel()
        self._dirty.set()
        self._urgent.set()

    async def _write(self) -> None:
        tries_left = LAST_TRIES
        while self._running or not self._closing:
            await self._dirty.wait()
            self._dirty.clear()
            self._urgent.clear()
            try:
                await self._flush()
            except Exception:
                # Nothing is lost: what could not be written stays with its answer for the next try.
                _log.exception("answers could not be stored; trying again")
                tries_left -= self._closing
                if not tries_left:
                    return
                await asyncio.sleep(RETRY_SECONDS)
                self._dirty.set()
                continue
            try:
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self._urgent.wait()
            except TimeoutError:
                pass

    async def _flush(self) -> None:
        batch = [running for running in self._running.values() if running.dirty]
        if not batch:
            return
        taken = [
            _Taken(running, running.pieces(), running.ending, running.unstored_seconds) for running in batch
        ]
        try:
            await self._store(taken)
        except OperationalError:
            raise  # the database refuses for now: all of it is tried again
        except Exception:
            # One answer holds what no database takes. It must not keep the others from theirs.
            _log.exception("answers could not be stored together")
            for one in taken:
                await self._store_alone(one)
        self._wakeups.ring(running.message_id for running in batch)

    async def _store_alone(self, taken: "_Taken") -> None:
        try:
            await self._store([taken])
        except OperationalError:
            raise
        except Exception:
            _log.exception("answer %d cannot be stored further", taken.running.message_id)
            self._end(taken.running, Ending("interrupted"))
            taken.running.give_up(Ending("interrupted", "The rest of this answer could not be stored."))

    async def _store(self, taken: Sequence["_Taken"]) -> None:
        """Commit what was taken, and let its answers know."""
        async with self._database.writing() as session:
            alive = await answers.still_running(session, (one.running.message_id for one in taken))
            written = [one for one in taken if one.running.message_id in alive]
            await answers.append(session, [piece for one in written for piece in one.pieces])
            for one in written:
                if one.reasoning_seconds is not None:
                    await answers.note_reasoning_seconds(
                        session, one.running.message_id, one.reasoning_seconds
                    )
                if one.ending:
                    await answers.finish(session, one.running.message_id, one.ending)
        for one in taken:
            one.running.written(one.pieces, one.reasoning_seconds)
            if one.ending:
                self._running.pop(one.running.message_id, None)
                one.running.stored.set()
            elif one.running.message_id not in alive:
                self._end(one.running, Ending("stopped"))


@dataclass(frozen=True, slots=True)
class _Taken:
    """What one transaction is to store of an answer."""

    running: Running
    pieces: list[Piece]
    ending: Ending | None
    reasoning_seconds: float | None
