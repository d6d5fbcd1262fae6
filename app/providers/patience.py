"""Patience: a model is waited for only until a deadline, at which there is a second look.

A process that was held up finds its timers due before it has read what came meanwhile: the model spoke.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from app.providers.pace import Pace

if TYPE_CHECKING:
    # Only who asks a server over HTTP loads it.
    from aiohttp import ClientResponse

LOOK_SECONDS = 0.5
"""How soon is looked again for a reader who was not waiting at the deadline: its own pauses do not count."""

AGAIN_SECONDS = 0.1
"""How long after the deadline the second look is: what had come by then has long been taken."""


@asynccontextmanager
async def patience(deadline: float) -> AsyncGenerator[asyncio.Timeout, None]:
    """Run the block until `deadline`, in the event loop's time. Raises TimeoutError behind it."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as limit:
        first_look = loop.call_at(deadline, lambda: limit.reschedule(loop.time() + AGAIN_SECONDS))
        try:
            yield limit
        finally:
            first_look.cancel()


class PatientReader:
    """Reads a body. Its one timer is moved when it is due: one for each read costs more than the read."""

    def __init__(self, response: "ClientResponse", deadline: float) -> None:
        """Wait until `deadline`, in the event loop's time."""
        self._response = response
        self._loop = asyncio.get_running_loop()
        self._deadline = deadline
        self._waiting = False
        self._silent = False
        self._resting: asyncio.Transport | None = None
        self._look_at(deadline)

    def wait_until(self, deadline: float) -> None:
        """Wait until then from now on."""
        self._deadline = deadline
        if deadline < self._due:
            self._timer.cancel()
            self._look_at(deadline)

    async def read(self) -> bytes:
        """All that has come; empty at the end. Raises TimeoutError at the deadline, ClientError before."""
        self._waiting = True
        try:
            return await self._response.content.readany()
        finally:
            self._waiting = self._silent = False

    def rest(self, pace: Pace) -> None:
        """Leave what comes with the system until it is time to read again."""
        if (connection := self._response.connection) and (transport := connection.transport):
            transport.pause_reading()
            self._resting = transport
            pace.wait(self._go_on)

    def close(self) -> None:
        """Wait no more."""
        self._timer.cancel()
        self._resting = None

    def _go_on(self) -> None:
        if self._resting and not self._resting.is_closing():
            self._resting.resume_reading()
        self._resting = None

    def _look_at(self, due: float) -> None:
        self._due = due
        self._timer = self._loop.call_at(due, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        if now < self._deadline:
            self._look_at(self._deadline)
        elif not self._waiting or self._resting:
            self._look_at(now + LOOK_SECONDS)
        elif self._silent:
            self._response.content.set_exception(TimeoutError())
        else:
            self._silent = True
            self._look_at(now + AGAIN_SECONDS)
