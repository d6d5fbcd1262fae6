"""The database's refusals: which errors are its state and not our doing, and what they are in words."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app import schema

# SQLSTATE: connection, resources (disk full), the operator's doing, the system, read-only, idle for too long,
# lock, deadlock; and a user or a database that there is not, which only an operator can mend.
_PASSING = ("08", "53", "57", "58", "25006", "25P03", "55P03", "40")
_REFUSING = ("28", "3D000")
_DAMAGED = ("malformed", "not a database")
BUSY = "The database is busy. Nothing was stored; please try again in a moment."
_GONE = "The database cannot be reached. Please try again in a moment."
_WORDS = (
    (
        ("disk is full", "53100"),
        "The disk is full, so nothing can be stored. Free some space, then try again.",
    ),
    (("readonly", "25006"), "The database cannot be written to, so nothing was stored."),
    (("locked", "busy", "QueuePool", "55P03"), BUSY),
    (_DAMAGED, "The database's file is damaged, so nothing can be stored. Restore it from a copy."),
)


class Unavailable(Exception):
    """The database refuses for now: busy, full, read-only or gone. `str(error)` says so to a person.

    Nothing was stored, or, where a connection broke at a commit, that is not known; whoever tries again
    must do so in a way that can be done twice.
    """

    def __init__(self, sentence: str, *, full: bool = False) -> None:
        super().__init__(sentence)
        self.full = full


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Raise Unavailable for errors that are the database's state and not our doing."""
    try:
        yield
    except (DBAPIError, OSError, PoolTimeout) as error:
        if isinstance(error, DBAPIError) and not _is_passing(error):
            raise
        raise _unavailable(error) from error


def insist_on_right_address(error: Unavailable) -> None:
    """Raise schema.Wrong for what only another DATABASE_URL can mend: a server or the driver refuses it."""
    cause = error.__cause__
    if not isinstance(cause, DBAPIError):
        return
    if _sqlstate(cause).startswith(_REFUSING):
        raise schema.Wrong(
            f"The database's server refuses what DATABASE_URL says: {reason(error)}."
        ) from error
    if _makes_no_sense(_drivers(cause)):
        raise schema.Wrong(f"DATABASE_URL cannot be used: {reason(error)}.") from error


def reason(error: Unavailable) -> str:
    """What the database or its driver said, for whoever runs the server: it is not for readers."""
    cause = error.__cause__
    return str(cause.orig if isinstance(cause, DBAPIError) else cause).rpartition(">: ")[2]


def _is_passing(error: DBAPIError) -> bool:
    return (
        error.connection_invalidated
        or _sqlstate(error).startswith(_PASSING + _REFUSING)
        or isinstance(error, OperationalError)
        or any(sign in str(error.orig) for sign in _DAMAGED)
        or _is_passing_to(_drivers(error))
    )


def _is_passing_to(drivers: BaseException | None) -> bool:
    """What asyncpg says without an SQLSTATE; sqlite3's errors have nothing behind them."""
    if drivers is None:
        return False
    # Imported only here: it takes 3 MB, which a chat over SQLite has no use for.
    from asyncpg import InterfaceError, InvalidCachedStatementError

    return (
        # Exactly this: it says that a connection is closed, its subclasses that a value makes no sense.
        type(drivers) is InterfaceError
        # Another process migrated, and it is prepared anew the next time.
        or isinstance(drivers, InvalidCachedStatementError)
        or _makes_no_sense(drivers)
    )


def _makes_no_sense(drivers: BaseException | None) -> bool:
    """Whether asyncpg can do nothing with an address."""
    if drivers is None:
        return False
    from asyncpg.exceptions import ClientConfigurationError

    return isinstance(drivers, ClientConfigurationError)


def _unavailable(error: Exception) -> Unavailable:
    words = f"{_sqlstate(error)} {error.orig}" if isinstance(error, DBAPIError) else str(error)
    sentence = next((sentence for signs, sentence in _WORDS if any(sign in words for sign in signs)), _GONE)
    return Unavailable(sentence, full="full" in sentence)


def _drivers(error: DBAPIError) -> BaseException | None:
    return error.orig.__cause__ if error.orig else None


def _sqlstate(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""
