"""The store alone: transactions and notifications a second, and what each process asks of it."""

import asyncio
import os
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from time import monotonic

import asyncpg

from app import answers, leases
from app.answers import Piece
from app.db import Database
from app.leases import Lookout
from app.tables import Conversation, Message, User, now
from bench.capacity import postgres_if_any
from bench.figures import Figure, Results
from bench.options import Options
from bench.processes import cpu_seconds, descendants
from tests.postgres import Postgres

NAME = "storage"
SECONDS = 0.7
AT_ONCE = (1, 16)
LISTENERS = 20
RUNNING = 1_000
BATCHES = (1, 100)
FILE, SQLITE, POSTGRES = "a file", "SQLite", "PostgreSQL"
NOTIFYING, HEARD = f"{POSTGRES}, each notifies", f"{POSTGRES}, each notifies, {LISTENERS} listen"
ROW = "Some twenty characters"
NOTIFICATION = "worker:" + ",".join(str(number) for number in range(10_000, 10_100))

FIGURES = (
    Figure("a second", "", 0, compared=False),
    Figure("time of one", "ms", 2),
    Figure("CPU of one", "ms", 2, compared=False),
    Figure("database's CPU of one", "ms", 2, compared=False),
)

Action = Callable[[], Awaitable[object]]


def writers(count: int) -> str:
    """What so many connections that write are called."""
    return f"one row a transaction, {count} at once"


def batch(pieces: int) -> str:
    """What our transaction is called: the one that stores what some answers have got."""
    return f"ours, with text of {pieces} answer{'s' * (pieces > 1)}"


LOOK = f"a look at {RUNNING:,} answers that run elsewhere"


def measure(options: Options) -> Results:
    """All of it, in rounds."""
    results = Results(NAME, "The store alone", (FILE,), FIGURES)
    seconds = options.seconds or SECONDS
    with ExitStack() as closing:
        postgres = postgres_if_any(closing)
        for _ in range(options.rounds):
            with tempfile.TemporaryDirectory() as folder:
                asyncio.run(_round(results, Path(folder), postgres, seconds))
    return results


async def _round(results: Results, folder: Path, postgres: Postgres | None, seconds: float) -> None:
    for at_once in AT_ONCE:
        results.add(writers(at_once), FILE, await _in_files(folder, at_once, seconds))
        results.add(writers(at_once), SQLITE, await _in_sqlite(folder, at_once, seconds))
        for who, notifying, listening in ((POSTGRES, 0, 0), (NOTIFYING, 1, 0), (HEARD, 1, LISTENERS)):
            if postgres:
                found = await _in_postgres(postgres, at_once, notifying, listening, seconds)
                results.add(writers(at_once), who, found)
    urls = {SQLITE: f"sqlite:///{folder}/chat.db"}
    if postgres:
        urls[POSTGRES] = postgres.new_database()
    for who, url in urls.items():
        pid = postgres.pid if postgres and who == POSTGRES else None
        async with _filled(url) as (database, ids):
            for pieces in BATCHES:
                transaction = _Batch(database, ids[:pieces])
                results.add(batch(pieces), who, await _timed([transaction.store], seconds, pid))
            lookout = Lookout(database, "another")

            async def look(lookout: Lookout = lookout) -> None:
                lookout.forget()  # it is not to find in several looks that nobody beats here
                await lookout.look([])

            results.add(LOOK, who, await _timed([look], seconds, pid))


async def _timed(actions: Sequence[Action], seconds: float, postgres: int | None = None) -> dict[str, float]:
    """Each again and again, all at once; those of a second, and what one takes."""
    began, done = monotonic(), 0
    used, of_database = cpu_seconds([os.getpid()]), _of_database(postgres)

    async def again(action: Action) -> None:
        nonlocal done
        while monotonic() < began + seconds:
            await action()
            done += 1

    await asyncio.gather(*(again(action) for action in actions))
    took = monotonic() - began
    found = {
        "a second": done / took,
        "time of one": took / done * len(actions) * 1e3,
        "CPU of one": (cpu_seconds([os.getpid()]) - used) / done * 1e3,
    }
    if postgres:
        found["database's CPU of one"] = (_of_database(postgres) - of_database) / done * 1e3
    return found


def _of_database(postgres: int | None) -> float:
    return cpu_seconds([postgres, *descendants(postgres)]) if postgres else 0.0


async def _in_files(folder: Path, at_once: int, seconds: float) -> dict[str, float]:
    """A page written and made durable: the least that a transaction can be."""
    files = [os.open(folder / f"file{number}", os.O_RDWR | os.O_CREAT) for number in range(at_once)]

    def write(file: int) -> None:
        os.pwrite(file, bytes(4096), 0)
        os.fdatasync(file)

    try:
        return await _timed([partial(asyncio.to_thread, write, file) for file in files], seconds)
    finally:
        for file in files:
            os.close(file)


async def _in_sqlite(folder: Path, at_once: int, seconds: float) -> dict[str, float]:
    """As the application sets it up; each connection waits for its turn."""
    connections = [
        sqlite3.connect(folder / "rows.db", isolation_level=None, check_same_thread=False, timeout=30)
        for _ in range(at_once)
    ]
    for connection in connections:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
    connections[0].execute("CREATE TABLE IF NOT EXISTS rows (text TEXT)")

    def write(connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO rows VALUES (?)", (ROW,))
        connection.execute("COMMIT")

    try:
        return await _timed([partial(asyncio.to_thread, write, one) for one in connections], seconds)
    finally:
        for connection in connections:
            connection.close()


async def _in_postgres(
    postgres: Postgres, at_once: int, notifying: int, listening: int, seconds: float
) -> dict[str, float]:
    async with AsyncExitStack() as closing:
        connections = [await _connected(postgres, closing) for _ in range(at_once)]
        await connections[0].execute("CREATE TABLE IF NOT EXISTS rows (text TEXT)")
        for _ in range(listening):
            await (await _connected(postgres, closing)).add_listener("answers", lambda *_: None)

        async def write(connection: asyncpg.Connection) -> None:
            async with connection.transaction():
                await connection.execute("INSERT INTO rows VALUES ($1)", ROW)
                if notifying:
                    await connection.execute("SELECT pg_notify('answers', $1)", NOTIFICATION)

        return await _timed([partial(write, one) for one in connections], seconds, postgres.pid)


async def _connected(postgres: Postgres, closing: AsyncExitStack) -> asyncpg.Connection:
    connection = await asyncpg.connect(postgres.url)
    closing.push_async_callback(connection.close)
    return connection


@asynccontextmanager
async def _filled(url: str) -> AsyncIterator[tuple[Database, list[int]]]:
    """A database in which answers run, and their ids."""
    database = Database(url)
    try:
        await database.upgrade()
        async with database.writing() as session:
            if await session.get(User, 1) is None:
                session.add(User(id=1, name="bench"))
                await session.flush()
            conversation = Conversation(user_id=1, title="Running", created_at=now(), updated_at=now())
            session.add(conversation)
            await session.flush()
            running = [
                Message(
                    user_id=1,
                    conversation_id=conversation.id,
                    role="assistant",
                    status="generating",
                    worker=_WORKER if number < max(BATCHES) else "of-others",
                    created_at=now(),
                )
                for number in range(RUNNING)
            ]
            session.add_all(running)
            await session.flush()
            await leases.beat(session, _WORKER)
        yield database, [answer.id for answer in running]
    finally:
        await database.close()


_WORKER = "bench"


class _Batch:
    """What the writer's transaction does: it beats, looks at what is still its own, adds text, and tells."""

    def __init__(self, database: Database, ids: Sequence[int]) -> None:
        self._database = database
        self._ids = ids
        self._position = len(ids) * 10_000_000  # no two batches add at the same places

    async def store(self) -> None:
        """Store a piece of each answer."""
        self._position += len(ROW)
        pieces = [Piece(one, "text", self._position, ROW) for one in self._ids]
        async with self._database.storing() as session:
            await answers.held(session, _WORKER, self._ids)
            await answers.append(session, pieces)
            await self._database.notify(session, self._ids, _WORKER)
