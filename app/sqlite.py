"""SQLite beside an event loop: a connection that hands to its thread only what may have to wait.

To hand a call to a thread and back takes several times what most statements take, and a statement is four
calls. What waits for a lock or for the disk goes to the thread as it does in aiosqlite: the end of a
transaction that writes, and its beginning while another process writes. What only looks something up, or
changes pages in memory, is done at once, and so is taking a lock that is free.
"""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiosqlite

# The beginnings of statements that wait for nothing: readers have a snapshot, and who writes has the lock.
_AT_ONCE = ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE FROM chunks", "PRAGMA busy_timeout")
_READS = "BEGIN"
_WRITES = "BEGIN IMMEDIATE"
_NAMES = {"cursor", "fetchone", "fetchmany", "fetchall", "rollback"}


class Connection(aiosqlite.Connection):
    """A connection that two threads use, never both at once: whoever calls waits for each call's end."""

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self._running and self._connection:
            if _is_short(fn, *args):
                return fn(*args, **kwargs)
            if args and args[0] == _WRITES:
                with suppress(sqlite3.OperationalError):  # said again below, after the wait if it is one
                    return self._without_waiting(self._connection, fn, *args)
        waiting: Any = super()
        return await waiting._execute(fn, *args, **kwargs)

    @staticmethod
    def _without_waiting(connection: sqlite3.Connection, call: Callable[..., Any], *args: Any) -> Any:
        (milliseconds,) = connection.execute("PRAGMA busy_timeout").fetchone()
        connection.execute("PRAGMA busy_timeout=0")
        try:
            return call(*args)
        finally:
            connection.execute(f"PRAGMA busy_timeout={milliseconds}")


def connect(database: str | Path, **options: Any) -> Connection:
    """A connection to a file, to be awaited; the options are those of `sqlite3.connect`."""
    connection = Connection(lambda: sqlite3.connect(database, **{**options, "check_same_thread": False}), 64)
    connection._thread.daemon = True  # as SQLAlchemy has it for those that it makes itself
    return connection


def _is_short(call: Callable[..., Any], *args: Any) -> bool:
    name = getattr(call, "__name__", "")
    if name in ("execute", "executemany"):
        return bool(args) and (args[0] == _READS or str(args[0]).startswith(_AT_ONCE))
    return name in _NAMES or (name == "close" and isinstance(getattr(call, "__self__", None), sqlite3.Cursor))
