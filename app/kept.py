"""A connection that is kept: a pool, on the way out and in, takes as long as a third of a transaction."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app import engines
from app.refusals import BUSY, Unavailable


class Kept:
    """The one connection on which a process writes to a file, for one transaction after the other."""

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
            async with asyncio.timeout(engines.BUSY_SECONDS):
                await self._turn.acquire()
        except TimeoutError:
            raise Unavailable(BUSY) from None

    async def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            await connection.close()
