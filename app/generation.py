"""Generation: answers are written by tasks of their own, and stored before anyone is shown a word.

A task belongs to the server, not to a request: whoever disconnects, it goes on. An answer ends once:
complete, stopped by its user, failed, or interrupted with the text that it had. Any process may serve its
readers and stop it; one process writes it (`leases`), and one task in that process stores it (`writer`).
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import aclosing, suppress
from time import monotonic

from sqlalchemy.ext.asyncio import AsyncSession

from app import answers, leases, logs, schema
from app.answers import STOPPED, Ending
from app.db import Database, Unavailable
from app.leases import Lookout
from app.metrics import Metrics
from app.providers import ChatMessage, Delta, Pace, ProviderError
from app.running import Running
from app.tables import Message
from app.wakeups import WakeUps
from app.writer import Writer

MOST_TRIES = 3
"""How often a model is asked for one answer, as long as it has said nothing."""
STOP_SECONDS = 8.0
"""How long a Stop waits until it is stored."""

CLOSE_SECONDS = 1.0
"""How long a generator may take to end when the server does."""

BROKEN = "Something went wrong on this server while it was answering. The server's log says more."
UNCLAIMED = "unclaimed"
"""Sends notifications of answers that no process has taken up."""

NOT_STORED = "The answer was stopped, but the database refuses to store that for now. Please look again soon."

Answering = Callable[[list[ChatMessage]], AsyncGenerator[Delta, None]]
"""What answers: an async generator function of the messages so far."""

Prompting = Callable[[AsyncSession, Message], Awaitable[list[ChatMessage]]]
"""What a model is to be sent for an answer that is stored as `generating`."""

_log = logging.getLogger(__name__)


class Generations:
    """The answers that this process is writing, and its part in looking after those of others.

    Without `answering` it writes none itself, and leaves new ones to the processes that do.
    """

    def __init__(
        self,
        database: Database,
        wakeups: WakeUps,
        answering: Answering | None,
        prompting: Prompting,
        *,
        answer_limit: int,
        metrics: Metrics | None = None,
        pace: Pace | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._name = secrets.token_hex(8)
        self._database = database
        self._wakeups = wakeups
        self._answering = answering
        self._prompting = prompting
        self._answer_limit = answer_limit
        self._clock = clock
        self._metrics = metrics or Metrics()
        self._writer = Writer(database, wakeups, self._name, self._metrics, pace or Pace())
        self._lookout = Lookout(database, self._name, self._metrics)
        self._metrics.watch_running(lambda: self.running)
        self._tasks: list[asyncio.Task[None]] = []
        self._claim_now = asyncio.Event()
        self._ending = asyncio.Event()
        self.draining = False

    @property
    def worker(self) -> str | None:
        """Who writes the answers that begin here; None where any process may take them up."""
        return self._name if self._answering else None

    @property
    def running(self) -> int:
        """How many answers this process is writing."""
        return len(self._writer.running)

    async def open(self) -> None:
        """Start the writer and the lookout."""
        self._ending.clear()
        self._tasks = [
            asyncio.create_task(self._writer.write(), name="answers' writer"),
            asyncio.create_task(
                self._lookout.watch(self._writer.running, self._found, self._ending), name="lookout"
            ),
        ]
        if self._answering:
            self._tasks.append(asyncio.create_task(self._take_up(), name="claims"))

    async def prepare(self, session: AsyncSession, answer: Message) -> list[ChatMessage]:
        """What is to be handed to `start` once this transaction is committed."""
        if self._answering:
            return await self._prompting(session, answer)
        await self._database.notify(session, [answer.id], UNCLAIMED)
        return []

    def start(self, answer: Message, messages: Sequence[ChatMessage]) -> None:
        """Begin to write an answer that is stored as `generating`, or go on with it."""
        if self._answering is None:
            return
        running = Running(answer.id, self._answer_limit, self._clock, answer.attempt)
        running.go_on_behind(answer.text, answer.reasoning)
        self._writer.add(running)
        if self._ending.is_set():
            # It was being stored when this process began to end, which would wait for its last word.
            running.end(Ending("interrupted", STOPPED))
            return
        running.task = asyncio.create_task(
            self._answer(running, list(messages), self._answering), name=f"answer {answer.id}"
        )

    async def stop(self, message_id: int) -> None:
        """End an answer, whoever writes it, with the text that it has; nothing if it has ended.

        Returns when that is stored. Raises Unavailable.
        """
        if running := self._writer.running.get(message_id):
            running.end(Ending("stopped"))
            self._writer.wake(urgent=True)
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await running.stored.wait()
            except TimeoutError:
                raise Unavailable(NOT_STORED) from None
            if not running.lost:
                return
        # Who writes it elsewhere finds out by the notification, or at its next beat.
        async with self._database.writing() as session:
            if ended := await answers.finish(session, message_id, Ending("stopped")):
                await self._database.notify(session, [message_id], self._name)
        if ended:
            self._metrics.ended("stopped")
        self._wakeups.ring([message_id])

    async def forget(self, message_ids: Sequence[int]) -> None:
        """End answers that were deleted."""
        for message_id in message_ids:
            if running := self._writer.running.get(message_id):
                running.end(Ending("stopped"))
        self._writer.wake(urgent=True)
        self._wakeups.ring(message_ids)
        with suppress(Unavailable):  # who writes them elsewhere finds out at its next beat
            async with self._database.writing() as session:
                await self._database.notify(session, message_ids, self._name)

    def changed(self, sender: str, message_ids: Iterable[int]) -> None:
        """Take note that another process has changed these answers."""
        if sender == self._name:
            return
        ids = set(message_ids)
        self._wakeups.note_changed(ids)
        if sender == UNCLAIMED:
            self._claim_now.set()
        if ids & self._writer.running.keys():
            self._writer.look_again()

    async def drain(self, seconds: float) -> None:
        """Take no more answers, and let those that run come to their end, for so long at most."""
        self.draining = True
        try:
            async with asyncio.timeout(seconds):
                while self._writer.running:
                    await self._writer.idle.wait()
        except TimeoutError:
            return

    async def close(self) -> None:
        """Interrupt what is running, store it, and end the writer."""
        self.draining = True
        # Told to end, since a query that is cancelled leaves its connection open.
        self._ending.set()
        self._claim_now.set()
        running = list(self._writer.running.values())
        for one in running:
            one.end(Ending("interrupted", STOPPED))
        await _ended([one.task for one in running if one.task])
        self._writer.close()
        if not self._tasks:
            return
        writing, *others = self._tasks
        self._tasks = []
        await asyncio.wait(others, timeout=STOP_SECONDS)
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await writing
        self._wakeups.close()
        with suppress(Unavailable, schema.Wrong):
            async with self._database.writing() as session:
                await leases.leave(session, self._name)

    async def _answer(self, running: Running, messages: list[ChatMessage], answering: Answering) -> None:
        logs.answer_id.set(running.message_id)
        ending = Ending("complete")
        try:
            for tries_left in reversed(range(MOST_TRIES)):
                try:
                    await self._take_all(running, answering(messages))
                    break
                except ProviderError as error:
                    pause = error.retry_seconds
                    if pause is None or running.begun or not tries_left:
                        raise
                    # Its first sentence says what happened, the next what a person could do.
                    running.waiting = (
                        f"{str(error).partition('. ')[0].rstrip('.')}. Asking again in {pause:.0f} s."
                    )
                    self._writer.wake(urgent=True)
                    await asyncio.sleep(pause)
                    running.waiting = ""
        except ProviderError as error:
            running.come_to_end()
            ending = Ending("interrupted" if running.text.length else "failed", str(error))
        except asyncio.CancelledError:
            ending = Ending("interrupted", STOPPED)
        except Exception:
            _log.exception("answer %d failed", running.message_id)
            running.come_to_end()
            ending = Ending("interrupted" if running.text.length else "failed", BROKEN)
        running.end(ending)
        self._writer.wake(urgent=True)

    async def _take_all(self, running: Running, stream: AsyncGenerator[Delta, None]) -> None:
        async with aclosing(stream) as deltas:
            async for delta in deltas:
                if running.ending:
                    return
                # Also where nothing is to be stored yet, for models are read on when the writer says so.
                self._writer.wake(urgent=running.take(delta))
                if running.full:
                    running.finish = "length"
                    return

    def _found(self, changed: Sequence[int], unclaimed: bool) -> None:
        """Take note of what the lookout found."""
        if changed:
            self._wakeups.ring(changed)
        if unclaimed:
            self._claim_now.set()

    async def _take_up(self) -> None:
        """Take up what no process has: where it is told of, and where a look finds it."""
        while not self._ending.is_set():
            await self._claim_now.wait()
            self._claim_now.clear()
            try:
                while not self.draining and await self._claim():
                    pass
            except Unavailable:
                continue  # the next look will find it
            except Exception:
                _log.exception("answers that wait for a process could not be taken up")

    async def _claim(self) -> bool:
        async with self._database.writing() as session:
            claimed = [
                (answer, await self._prompting(session, answer))
                for answer in await leases.claim(session, self._name)
            ]
            if self.draining:
                # Whoever takes this process's place can write them to their end.
                await session.rollback()
                return False
        for answer, messages in claimed:
            self.start(answer, messages)
        return bool(claimed)


async def _ended(tasks: Collection[asyncio.Task[None]]) -> None:
    """Wait for tasks that were cancelled; those that do not end are cancelled once more and left."""
    if tasks:
        _, stubborn = await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
        for task in stubborn:
            task.cancel()
