"""Storage that misbehaves: SQLite told to be full or read-only, or locked by somebody else."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, Engine, event

MOST_PAGES = 2**30


class Ills:
    """What ails the connections that write of an engine: at the next transaction, and until it is well."""

    def __init__(self, engine: Engine) -> None:
        self.now: Literal["well", "full", "read-only"] = "well"
        # Before the transaction: where only reading is allowed, even its beginning is refused.
        event.listen(engine, "before_cursor_execute", self._before)

    def _before(self, connection: Connection, _: object, statement: str, *__: object) -> None:
        if statement != "BEGIN IMMEDIATE":
            return
        # Less than it has already means: not one page more.
        pages = 1 if self.now == "full" else MOST_PAGES
        cursor = connection.connection.cursor()
        cursor.execute(f"PRAGMA max_page_count={pages}")
        cursor.execute(f"PRAGMA query_only={int(self.now == 'read-only')}")
        cursor.close()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a SQLite file's write lock, as another process would."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
    finally:
        connection.close()
