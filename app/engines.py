"""Engines: how each database is connected to, and how long it is waited for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from time import monotonic
from typing import Any

from sqlalchemy import URL, Connection, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from app import sqlite
from app.refusals import BUSY, Unavailable

BUSY_SECONDS = 5
"""How long a transaction waits before it is refused: for its turn here, and for another's lock."""

IDLE_SECONDS = 3
"""How long a transaction may do nothing before PostgreSQL ends it.

Else a process that is frozen in the middle of one, or whose host is gone, would keep its answers locked.
"""

COMMAND_SECONDS = 10
"""How long a server may take for one statement; longer than a lock is waited for."""

_LIMITS: dict[str, Any] = {"timeout": 5, "command_timeout": COMMAND_SECONDS}

# What a statement is sent with are prompts and answers: no error, and so no log, may hold them.
_engine_to = partial(create_async_engine, hide_parameters=True)


def listening_engine(url: URL) -> AsyncEngine:
    """What connects to a server and keeps nothing."""
    return _engine_to(url, poolclass=NullPool, connect_args=_LIMITS)


def migrating_engine(url: URL) -> AsyncEngine:
    """The same, without limits: another migration is waited for, and a large table may take its time."""
    return _engine_to(url, poolclass=NullPool)


def postgresql_engine(url: URL, *, writes: bool, connections: int = 10) -> AsyncEngine:
    """What keeps so many connections to a server, at most."""
    # Read in one transaction, an answer's row and its chunks must be of one moment.
    isolation = (
        {"isolation_level": "READ COMMITTED"}
        if writes
        else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    )
    return _engine_to(
        url,
        pool_size=connections // 2,
        max_overflow=connections - connections // 2,
        pool_timeout=BUSY_SECONDS,
        pool_pre_ping=True,
        execution_options=isolation,
        connect_args={
            **_LIMITS,
            "server_settings": {
                "application_name": "fastapi-llm",
                "lock_timeout": f"{BUSY_SECONDS}s",
                "idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s",
            },
        },
    )


def sqlite_engine(url: URL, *, writes: bool) -> AsyncEngine:
    """What keeps connections to a file: one that writes, or four that read."""
    engine = _engine_to(
        url,
        pool_size=1 if writes else 4,
        max_overflow=0,
        pool_timeout=BUSY_SECONDS,
        connect_args={"async_creator_fn": sqlite.connect},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver must not begin transactions by itself
        cursor = connection.cursor()
        # FULL: what was acknowledged survives a power cut. One commit serves all answers that run
        # at that moment, at most twenty times a second, so the price is small.
        for pragma in (
            f"busy_timeout={BUSY_SECONDS * 1000}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"query_only={0 if writes else 1}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        if writes:
            # What was spent on waiting for this connection is not waited once more for the lock.
            waited = monotonic() - connection.info.pop("asked", monotonic())
            seconds = max(round(BUSY_SECONDS - waited, 1), 0)
            if connection.info.get("busy_seconds") != seconds:
                connection.exec_driver_sql(f"PRAGMA busy_timeout={round(seconds * 1000)}")
                connection.info["busy_seconds"] = seconds
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


class KeptConnection:
    """The one connection on which a process writes to a file, for one transaction after the other.

    A pool, on the way out and in, takes as long as a third of a transaction.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._turn = asyncio.Lock()
        self._connection: AsyncConnection | None = None

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[AsyncConnection]:
        """It, when those are done who asked before; `info["asked"]` says since when. Raises Unavailable."""
        asked = monotonic()
        await self._wait_for_turn()
        try:
            connection = self._connection = self._connection or await self._engine.connect()
            connection.info["asked"] = asked
            yield connection
        except BaseException:
            # Only the pool rolls back what a COMMIT that failed leaves open; what could not begin never will.
            await self._let_go()
            raise
        finally:
            self._turn.release()

    async def close(self) -> None:
        """Give it back, once nobody has it. Raises Unavailable where somebody does for so long."""
        await self._wait_for_turn()
        try:
            await self._let_go()
        finally:
            self._turn.release()

    async def _wait_for_turn(self) -> None:
        try:
            async with asyncio.timeout(BUSY_SECONDS):
                await self._turn.acquire()
        except TimeoutError:
            raise Unavailable(BUSY) from None

    async def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            await connection.close()
