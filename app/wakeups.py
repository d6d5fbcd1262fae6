"""Wake-ups: a bell that rings for the readers of an answer when more of it is in the database.

A ring carries nothing that is not stored. Who missed it finds the same text by asking the database again, so
a lost ring costs a reader at most the second until the next look (`polling`).
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from app.states import Answer


class Bell:
    """What one reader waits on; a ring between two waits is not missed."""

    def __init__(self) -> None:
        self._rung = False
        self._waiting: asyncio.Future[None] | None = None

    @property
    def rung(self) -> bool:
        """Whether it was rung since the last wait."""
        return self._rung

    def ring(self) -> None:
        """Wake the reader."""
        self._rung = True
        if self._waiting and not self._waiting.done():
            self._waiting.set_result(None)

    async def wait(self, seconds: float | None = None) -> None:
        """Return at the next ring, and after `seconds` in any case."""
        # Neither an asyncio.Event nor a timer, if that can be: it happens for each piece of text.
        if not self._rung:
            loop = asyncio.get_running_loop()
            self._waiting = loop.create_future()
            late = loop.call_later(seconds, self.ring) if seconds is not None else None
            try:
                await self._waiting
            finally:
                if late:
                    late.cancel()
        self._rung = False


class WakeUps:
    """The bells of this process, by answer."""

    def __init__(self) -> None:
        self.committed: dict[int, Answer] = {}
        """What is stored of the answers that this process writes, until they end."""
        self.followed: dict[int, Answer] = {}
        """What is known of answers that others write, while they are read here; perhaps more is stored."""
        self.changed = asyncio.Event()
        """Set when others have changed answers that are read here: `take_changed`."""
        self.closing = asyncio.Event()
        """Set when this process is ending, so that its readers should go on at another."""
        self._bells: defaultdict[int, set[Bell]] = defaultdict(set)
        self._changed: set[int] = set()

    def ring(self, message_ids: Iterable[int]) -> None:
        """Wake every reader of these answers, to look for themselves at those that others write."""
        for message_id in message_ids:
            self.followed.pop(message_id, None)
            self._ring(message_id)

    def tell(self, message_id: int, answer: Answer) -> None:
        """Wake every reader of an answer that others write, and hand them what is stored of it."""
        if message_id in self._bells:
            self.followed[message_id] = answer
            self._ring(message_id)

    def note_changed(self, message_ids: Iterable[int]) -> None:
        """Take note that others have changed these answers, for `polling` to look at what is read here."""
        self._changed.update(one for one in message_ids if one in self._bells)
        if self._changed:
            self.changed.set()

    def take_changed(self) -> set[int]:
        """What was noted since, as far as it is still read here."""
        changed, self._changed = self._changed, set()
        self.changed.clear()
        return {one for one in changed if one in self._bells}

    def close(self) -> None:
        """Wake every reader, to be told that this process is ending."""
        self.closing.set()
        self.changed.set()
        self.ring(self.listened())

    def listened(self) -> list[int]:
        """The answers that are being read in this process."""
        return list(self._bells)

    def readers(self, message_id: int) -> int:
        """How many are reading an answer in this process."""
        return len(self._bells.get(message_id, ()))

    @contextmanager
    def listening(self, message_id: int) -> Iterator[Bell]:
        """A bell for one reader."""
        bell = Bell()
        self._bells[message_id].add(bell)
        try:
            yield bell
        finally:
            self._bells[message_id].discard(bell)
            if not self._bells[message_id]:
                del self._bells[message_id]
                self.followed.pop(message_id, None)

    def _ring(self, message_id: int) -> None:
        for bell in self._bells.get(message_id, ()):
            bell.ring()
