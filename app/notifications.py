"""Notifications: PostgreSQL tells at once what other processes have changed.

They are a bell and carry no text: while the connection is down, polling finds the same within a second.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from asyncpg import InterfaceError, PostgresError
from sqlalchemy.exc import SQLAlchemyError

from app.db import CHANNEL, Database

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
CHECK_SECONDS = 15.0
"""How often a connection that brings nothing is asked whether it is still there."""

Changed = Callable[[str, Iterable[int]], None]
"""Is told who changed which answers."""

_log = logging.getLogger(__name__)


async def listen(database: Database, changed: Changed) -> None:
    """Pass on every notification, for ever; a connection that breaks is made anew."""
    pause = FIRST_PAUSE
    while True:
        try:
            await _listen_once(database, changed)
            pause = FIRST_PAUSE
        except (SQLAlchemyError, PostgresError, InterfaceError, OSError) as error:
            _log.warning("no notifications for now, polling goes on: %s", error)
        except Exception:
            _log.exception("no notifications for now, polling goes on")
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


async def _listen_once(database: Database, changed: Changed) -> None:
    """Listen until the connection ends."""
    engine = database.listener()
    ended = asyncio.Event()

    def heard(_connection: object, _pid: int, _channel: str, words: str) -> None:
        sender, _, ids = words.partition(":")
        with suppress(ValueError):  # anyone who may connect may notify
            changed(sender, [int(one) for one in ids.split(",")])

    try:
        async with engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            driver.add_termination_listener(lambda _: ended.set())
            await driver.add_listener(CHANNEL, heard)
            while not ended.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(CHECK_SECONDS):
                        await ended.wait()
                if not ended.is_set():
                    await driver.execute("SELECT 1")
    finally:
        await engine.dispose()
