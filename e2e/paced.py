"""`python -m e2e.paced serve`: the application, showing each piece of an answer by itself.

What the model says next is taken once every reader of the answer has been sent what it said before: a
page sees each moment that an answer has, and nobody waits for a clock.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing

import app.cli
import app.main
import app.polling
import app.wakeups
import app.writer
from app.providers import ChatMessage, Delta, Provider, prompt_llm_async


class PacedBell(app.wakeups.Bell):
    """Knows whether its reader has shown all there is."""

    def __init__(self) -> None:
        super().__init__()
        self.idle = False

    def ring(self) -> None:
        self.idle = False
        super().ring()

    async def wait(self, seconds: float | None = None) -> None:
        self.idle = not self._rung
        pace.changed.set()
        await super().wait(seconds)
        self.idle = False


class PacedWakeUps(app.wakeups.WakeUps):
    """Knows whether anything was stored, and whether all readers have shown it."""

    def __init__(self) -> None:
        super().__init__()
        pace.wakeups = self

    def ring(self, message_ids: Iterable[int]) -> None:
        super().ring(message_ids)
        pace.stored = True
        pace.changed.set()

    @property
    def are_read(self) -> bool:
        """Whether there is a reader, and none that still has something to show."""
        bells = [bell for some in self._bells.values() for bell in some]
        return bool(bells) and all(isinstance(bell, PacedBell) and bell.idle for bell in bells)


class Pace:
    """When the next piece may come."""

    def __init__(self) -> None:
        self.wakeups: PacedWakeUps
        self.changed = asyncio.Event()
        self.stored = False

    async def shown(self) -> None:
        """Wait until what was produced last is stored and shown."""
        while not (self.stored and self.wakeups.are_read):
            self.changed.clear()
            await self.changed.wait()


pace = Pace()


async def piece_by_piece(
    messages: Sequence[ChatMessage], *, provider: Provider
) -> AsyncGenerator[Delta, None]:
    """What the model says, each piece once the one before is on its way to its readers."""
    async with aclosing(prompt_llm_async(messages, provider=provider)) as deltas:
        async for delta in deltas:
            pace.stored = False
            yield delta
            # Half of a pair, or of a line's end, is kept until the other half comes.
            if delta.text and delta.text[-1] != "\r" and not "\ud800" <= delta.text[-1] <= "\udbff":
                await pace.shown()


if __name__ == "__main__":
    # What is timed in the application is timed here by its readers.
    app.writer.FLUSH_SECONDS = 0
    app.polling.POLL_SECONDS = 3600  # it would ring for what was shown before
    app.wakeups.Bell = PacedBell  # type: ignore[misc] # in its place
    app.main.WakeUps = PacedWakeUps  # type: ignore[attr-defined] # the name that it is used by
    app.main.prompt_llm_async = piece_by_piece  # type: ignore[attr-defined,assignment] # always given its provider
    app.cli.main()
