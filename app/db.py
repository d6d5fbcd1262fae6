"""The database: SQLite in a file, or PostgreSQL; sessions that read, sessions that write."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, nullcontext, suppress
from pathlib import Path

from anyio import CancelScope
from sqlalchemy import URL, make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from app import engines, schema
from app.refusals import Unavailable, insist_on_right_address, translated

__all__ = ["CHANNEL", "Database", "Statements", "Unavailable", "driver_url"]

CHANNEL = "answers"
"""PostgreSQL's channel for notifications: the ids of answers that changed."""

LARGEST_NOTIFICATION = 7900
"""In bytes; PostgreSQL takes fewer than 8,000."""

Statements = AsyncSession | AsyncConnection
"""Where statements run: in a session, or in `Database.storing`, which knows no objects."""


class Database:
    """An open database.

    Who is cancelled within a session ends behind it: a query that is cancelled takes its connection along.

    SQLite: a write transaction takes the write lock at its beginning (BEGIN IMMEDIATE) and there is one
    connection for writing, so that nothing read in it can be overwritten by somebody else, and
    writers queue instead of failing. Readers never wait (write-ahead log).

    PostgreSQL: what must not change between a look and a write is locked, row by row, in the queries.
    """

    def __init__(self, url: str) -> None:
        self.url = driver_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        make = engines.sqlite_engine if self.is_sqlite else engines.postgresql_engine
        self.writer = make(self.url, writes=True)
        self._reserved = (
            self.writer if self.is_sqlite else engines.postgresql_engine(self.url, writes=True, connections=2)
        )
        self._kept = engines.KeptConnection(self.writer) if self.is_sqlite else None
        self._reader = make(self.url, writes=False)
        self.path = Path(self.url.database or "") if self.is_sqlite else None
        self.place = str(self.path or _server(self.url))
        self._file: tuple[int, int] | None = None
        self._checked = False

    @property
    def full_name(self) -> str:
        """Which database of all it is, for whoever runs this; without user and password."""
        return str(self.path.resolve()) if self.path else f"{self.url.database} at {self.place}"

    async def open(self) -> Unavailable | None:
        """Create or bring up to date a database in a file, and look at the schema of a server's.

        A server that cannot be reached, which is told, is looked at when it is first asked for something.
        Raises schema.Wrong for a schema that this program does not know, and where the server refuses the
        user or has no such database.
        """
        if self.is_sqlite:
            await self.upgrade()
        else:
            try:
                await self._check()
            except Unavailable as error:
                insist_on_right_address(error)
                return error
        return None

    async def upgrade(self) -> None:
        """Bring the schema up to date; a file is made where there is none, and copied before a change.

        Raises schema.Wrong and Unavailable.
        """
        if self.path:
            schema.prepare_file(self.path)
        try:
            async with translated(), self._migrating() as connection:
                await connection.run_sync(schema.upgrade, self.path)
                await connection.commit()
        except Unavailable as error:
            insist_on_right_address(error)
            raise
        if self.is_sqlite:
            self._file = self._identity()
        self._checked = True

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A session that sees one committed state and cannot write. Raises Unavailable."""
        with CancelScope(shield=True):
            await self._check()
            async with translated(), AsyncSession(self._reader, expire_on_commit=False) as session:
                yield session

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """A session whose changes are committed, durably, when the block ends without an error.

        Raises Unavailable.
        """
        with CancelScope(shield=True):
            await self._check()
            async with (
                translated(),
                self._kept.taken() if self._kept else nullcontext(self.writer) as bind,
                AsyncSession(bind, expire_on_commit=False) as session,
                session.begin(),
            ):
                await session.connection()
                yield session

    @asynccontextmanager
    async def storing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction as in `writing`, for what a process writes of itself: answers, and that it lives.

        On a server it is on a connection that no request can take: those which wait for locks must not keep
        it from that. And it is no session, which would take a seventh more time. Raises Unavailable.
        """
        with CancelScope(shield=True):
            await self._check()
            async with (
                translated(),
                self._kept.taken() if self._kept else self._reserved.connect() as connection,
                connection.begin(),
            ):
                yield connection

    async def ping(self) -> None:
        """See that the database answers, and with the right schema. Raises Unavailable, schema.Wrong."""
        async with self.reading() as session:
            await session.execute(text("SELECT 1"))

    async def notify(self, session: Statements, message_ids: Iterable[int], sender: str) -> None:
        """Tell other processes, once this transaction is committed, that these answers changed.

        Only PostgreSQL can: `sender:12,13`. It is a bell: whoever misses it finds the same by looking.
        """
        if self.is_sqlite:
            return
        for ids in _in_pieces([str(message_id) for message_id in message_ids]):
            words = {"channel": CHANNEL, "words": f"{sender}:{ids}"}
            await session.execute(text("SELECT pg_notify(:channel, :words)"), words)

    def listener(self) -> AsyncEngine:
        """An engine for the one connection that listens to notifications."""
        return engines.listening_engine(self.url)

    async def close(self) -> None:
        """Close every connection."""
        try:
            if self._kept:
                # Whoever has it at a disk that does not answer must not keep the server from its end.
                with suppress(Unavailable):
                    await self._kept.close()
        finally:
            for engine in {self._reader, self.writer, self._reserved}:
                await engine.dispose()

    @asynccontextmanager
    async def _migrating(self) -> AsyncIterator[AsyncConnection]:
        """A connection to change the schema on."""
        if self._kept:
            async with self._kept.taken() as connection:
                yield connection
            return
        engine = engines.migrating_engine(self.url)
        try:
            async with engine.connect() as connection:
                yield connection
        finally:
            await engine.dispose()

    async def _check(self) -> None:
        """See that the database is the one that was opened, and that its schema is this program's."""
        if self.is_sqlite:
            if self._file and self._identity() != self._file:
                # What is written to a file without a name is gone when this process ends.
                raise Unavailable(
                    "The database's file was moved or deleted while the server ran, so nothing can be stored."
                )
        elif not self._checked:
            async with translated(), self._reader.connect() as connection:
                await connection.run_sync(schema.check)
            self._checked = True

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = (self.path or Path()).stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino


def driver_url(url: str) -> URL:
    """The URL that people write, with the driver that we use, which calls `sslmode` something else."""
    parsed = make_url(url)
    if mode := parsed.query.get("sslmode"):
        parsed = parsed.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
    sqlite = parsed.get_backend_name() == "sqlite"
    return parsed.set(drivername="sqlite+aiosqlite" if sqlite else "postgresql+asyncpg")


def _server(url: URL) -> str:
    """Where a server is: its name or the folder of its socket, and its port."""
    host = url.host or url.query.get("host") or "this machine"
    return f"{host}:{url.port or url.query.get('port', 5432)}"


def _in_pieces(ids: list[str]) -> Iterable[str]:
    """The ids, with commas between, in as many notifications as it takes."""
    piece: list[str] = []
    length = 0
    for one in ids:
        if length + len(one) > LARGEST_NOTIFICATION:
            yield ",".join(piece)
            piece, length = [], 0
        piece.append(one)
        length += len(one) + 1
    if piece:
        yield ",".join(piece)
