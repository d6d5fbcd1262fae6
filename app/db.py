"""The database: one connection that writes, several that read, and the schema brought up to date."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

MIGRATIONS = Path(__file__).parent / "migrations"


class Database:
    """An open SQLite database.

    A write transaction takes the write lock at its beginning (BEGIN IMMEDIATE) and there is one
    connection for writing, so that nothing read in it can be overwritten by somebody else, and
    writers queue instead of failing. Readers never wait (write-ahead log).
    """

    def __init__(self, url: str) -> None:
        self._url = sqlite_url(url)
        self.writer = _engine(self._url, writes=True)
        self._reader = _engine(self._url, writes=False)

    async def upgrade(self) -> None:
        """Create the database, or bring its schema up to date."""
        if self._url.database:
            Path(self._url.database).parent.mkdir(parents=True, exist_ok=True)
        async with self.writer.connect() as connection:
            await connection.run_sync(_upgrade)
            await connection.commit()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A session that sees one committed state and cannot write."""
        async with AsyncSession(self._reader, expire_on_commit=False) as session:
            yield session

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """A session whose changes are committed, durably, when the block ends without an error."""
        async with AsyncSession(self.writer, expire_on_commit=False) as session, session.begin():
            yield session

    async def close(self) -> None:
        """Close every connection."""
        await self._reader.dispose()
        await self.writer.dispose()


def sqlite_url(url: str) -> URL:
    """The URL that people write, with the driver that we use."""
    return make_url(url).set(drivername="sqlite+aiosqlite")


def _engine(url: URL, *, writes: bool) -> AsyncEngine:
    engine = create_async_engine(url, pool_size=1 if writes else 4, max_overflow=0)

    @event.listens_for(engine.sync_engine, "connect")
    def connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver must not begin transactions by itself
        cursor = connection.cursor()
        # FULL: what was acknowledged survives a power cut. One commit serves all answers that run
        # at that moment, at most twenty times a second, so the price is small.
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "busy_timeout=5000",
            "foreign_keys=ON",
            f"query_only={0 if writes else 1}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
