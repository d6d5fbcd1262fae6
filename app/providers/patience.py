"""Patience: a response's body, read as it comes, but waited for only until a deadline."""

import asyncio

from aiohttp import ClientResponse

from app.providers.pace import Pace

LOOK_SECONDS = 0.5
"""How soon is looked again for a reader who was not waiting at the deadline: its own pauses do not count."""


class PatientReader:
    """Reads a body. Its one timer is moved when it is due: one for each read costs more than the read."""

    def __init__(self, response: ClientResponse, deadline: float) -> None:
        """Wait until `deadline`, in the event loop's time."""
        self._response = response
        self._loop = asyncio.get_running_loop()
        self._deadline = deadline
        self._waiting = False
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
            self._waiting = False

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
        if now >= self._deadline and self._waiting and not self._resting:
            self._response.content.set_exception(TimeoutError())
        else:
            self._look_at(max(self._deadline, now + LOOK_SECONDS))
