"""Notifications: PostgreSQL tells at once what other processes have changed.

They are a bell and carry no text: while the connection is down, polling finds the same within a second.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from asyncpg import InterfaceError, InternalClientError, PostgresError
from sqlalchemy.exc import SQLAlchemyError

from app.db import CHANNEL, Database

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
CHECK_SECONDS = 15.0
"""How often a connection that brings nothing is asked whether it is still there."""

Changed = Callable[[str, Iterable[int]], None]
"""Is told who changed which answers."""

# The driver's own error too: it loses its way where a connection ends as something is asked of it.
_BREAKING = (SQLAlchemyError, PostgresError, InterfaceError, InternalClientError, OSError)

_log = logging.getLogger(__name__)


class Listener:
    """Passes on every notification, until it is told to stop; a connection that breaks is made anew."""

    def __init__(self, database: Database, changed: Changed) -> None:
        self._database = database
        self._changed = changed
        self._stopping = False
        self._broken = asyncio.Event()

    def stop(self) -> None:
        """End `listen`, not amid a connection that is just being made."""
        self._stopping = True
        self._broken.set()

    async def listen(self) -> None:
        """Listen until `stop`."""
        pause = FIRST_PAUSE
        while not self._stopping:
            try:
                await self._listen_once()
                pause = FIRST_PAUSE
            except _BREAKING as error:
                _log.warning("the database sends no notifications for now, it is polled: %s", error)
            except Exception:
                _log.exception("the database sends no notifications for now, it is polled")
            if not self._stopping:
                self._broken.clear()
                await self._wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _listen_once(self) -> None:
        """Listen until the connection ends."""
        engine = self._database.listener()
        self._broken.clear()
        try:
            async with engine.connect() as connection:
                driver: Any = (await connection.get_raw_connection()).driver_connection
                driver.add_termination_listener(lambda _: self._broken.set())
                await driver.add_listener(CHANNEL, self._heard)
                while not (self._stopping or self._broken.is_set()):
                    await self._wait(CHECK_SECONDS)
                    if not self._broken.is_set():
                        await driver.execute("SELECT 1")
        finally:
            await engine.dispose()

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._broken.wait()

    def _heard(self, _connection: object, _pid: int, _channel: str, words: str) -> None:
        sender, _, ids = words.partition(":")
        with suppress(ValueError):  # anyone who may connect may notify
            self._changed(sender, [int(one) for one in ids.split(",")])
