"""A connection that is kept: a pool, on the way out and in, takes as long as a third of a transaction."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.refusals import BUSY, Unavailable


class Kept:
    """The one connection on which a process writes to a file, for one transaction after the other."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._turn = asyncio.Lock()
        self._connection: AsyncConnection | None = None

    @asynccontextmanager
    async def taken(self, seconds: float) -> AsyncIterator[AsyncConnection]:
        """It, when those are done who asked before; `info["asked"]` says since when. Raises Unavailable."""
        asked = monotonic()
        await self._wait_for_turn(seconds)
        try:
            connection = self._connection = self._connection or await self._engine.connect()
            connection.info["asked"] = asked
            yield connection
        except BaseException:
            # What it is like is not known: the next one gets a connection that the pool has looked at.
            await self._let_go()
            raise
        finally:
            self._turn.release()

    async def close(self) -> None:
        """Give it back, once nobody has it."""
        async with self._turn:
            await self._let_go()

    async def _wait_for_turn(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds if self._turn.locked() else None):
                await self._turn.acquire()
        except TimeoutError:
            raise Unavailable(BUSY) from None

    async def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            await connection.close()
