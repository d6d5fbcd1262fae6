"""The store: what the database holds, read by its own driver and plain SQL, apart from the application."""

import asyncio
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import asyncpg

from e2e.chaos.records import Row, Stored
from tests.postgres import Postgres

MESSAGES = (
    "select id, conversation_id, parent_id, role, status, text, reasoning, form_token "
    "from messages order by id"
)
GENERATING = "select id from messages where status = 'generating' order by id"
ORPHANS = (
    "select distinct chunks.message_id from chunks left join messages on messages.id = chunks.message_id "
    "where messages.id is null or messages.status <> 'generating'"
)


class Store(Protocol):
    """A database that a run uses."""

    url: str

    async def generating(self) -> list[int]:
        """The answers that have not ended."""

    async def read(self) -> Stored:
        """All that counts."""


class SQLiteStore:
    """A file. It is opened only while a server has it open: who opens it first repairs it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "chat.db"
        self.url = f"sqlite:///{self._path}"

    async def generating(self) -> list[int]:
        with closing(sqlite3.connect(self._path)) as connection:
            return [row[0] for row in connection.execute(GENERATING)]

    async def read(self) -> Stored:
        with closing(sqlite3.connect(self._path)) as connection:
            integrity = ", ".join(row[0] for row in connection.execute("pragma integrity_check"))
            broken = connection.execute("pragma foreign_key_check").fetchall()
            return _stored(
                connection.execute(MESSAGES),
                connection.execute(ORPHANS),
                integrity + (f", foreign keys of {broken}" if broken else ""),
            )


class PostgresStore:
    """A database on a server of its own."""

    def __init__(self, server: Postgres) -> None:
        self.url = server.new_database()

    async def generating(self) -> list[int]:
        return [row[0] for row in await self._rows(GENERATING)]

    async def read(self) -> Stored:
        # It is written by transactions only: there is nothing to check that the server has not.
        return _stored(await self._rows(MESSAGES), await self._rows(ORPHANS), "ok")

    async def _rows(self, sql: str) -> list[Any]:
        connection = await asyncpg.connect(self.url)
        try:
            async with asyncio.timeout(10):
                rows: list[Any] = await connection.fetch(sql)
                return rows
        finally:
            await connection.close()


def _stored(messages: Iterable[Any], orphans: Iterable[Any], integrity: str) -> Stored:
    return Stored({row[0]: Row(*row) for row in messages}, [row[0] for row in orphans], integrity)
