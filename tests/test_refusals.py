"""A database server that refuses, breaks or is away: one exception, in words; and then it heals."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app import schema
from app.db import Database, Unavailable
from tests.postgres import NoPostgres, Postgres

pytestmark = pytest.mark.fault(39)


@pytest.fixture(scope="module")
def mortal() -> Iterator[Postgres]:
    """A server of this module's own, since it is stopped and killed."""
    try:
        server = Postgres(fsync=False)
    except NoPostgres:
        pytest.skip("there is no PostgreSQL for this machine")
    with server:
        yield server


@pytest.fixture
async def database(mortal: Postgres) -> AsyncIterator[Database]:
    """A database with its tables, and a connection that is open."""
    database = Database(mortal.new_database())
    await database.upgrade()
    await ask(database)
    yield database
    await database.close()


async def ask(database: Database) -> None:
    async with database.writing() as session:
        await session.execute(text("select 1"))


@asynccontextmanager
async def connected(database: Database) -> AsyncIterator[Any]:
    """Another connection to the same."""
    other = await asyncpg.connect(database.url.set(drivername="postgresql").render_as_string(False))
    yield other
    await other.close()


async def end_connection(database: Database, session: AsyncSession) -> None:
    """End the connection of a session, from outside."""
    number = await session.scalar(text("select pg_backend_pid()"))
    async with connected(database) as other:
        await other.execute("select pg_terminate_backend($1)", number)


async def test_a_server_that_was_stopped_is_unavailable_and_then_asked_again(
    mortal: Postgres, database: Database
) -> None:
    mortal.stop()
    try:
        with pytest.raises(Unavailable, match="cannot be reached"):
            await ask(database)
    finally:
        mortal.start()

    await ask(database)


@pytest.mark.parametrize("end", [Postgres.stop, Postgres.kill])
async def test_a_server_that_ends_within_a_transaction_is_unavailable(
    mortal: Postgres, database: Database, end: Callable[[Postgres], None]
) -> None:
    async def broken() -> None:
        async with database.writing() as session:
            await session.execute(text("select 1"))
            end(mortal)
            await session.execute(text("select 1"))

    try:
        with pytest.raises(Unavailable, match="cannot be reached"):
            await broken()
    finally:
        mortal.start()

    await ask(database)


async def test_a_server_that_is_starting_is_unavailable(mortal: Postgres, database: Database) -> None:
    mortal.kill()
    starting = threading.Thread(target=mortal.start)
    starting.start()
    refusals = 0
    while starting.is_alive():
        try:
            await ask(database)
        except Unavailable:
            refusals += 1

    assert refusals
    await ask(database)


async def test_a_connection_that_ends_before_the_commit_is_unavailable(database: Database) -> None:
    with pytest.raises(Unavailable):
        async with database.writing() as session:
            await end_connection(database, session)

    await ask(database)


async def test_a_connection_that_ends_within_a_transaction_is_unavailable(database: Database) -> None:
    async def broken() -> None:
        async with database.writing() as session:
            await end_connection(database, session)
            await session.execute(text("select 1"))

    with pytest.raises(Unavailable):
        await broken()

    await ask(database)


@pytest.mark.parametrize("frozen", [True, False])
async def test_a_transaction_that_was_idle_for_too_long_is_unavailable(
    database: Database, frozen: bool
) -> None:
    async def idle() -> None:
        async with database.writing() as session:
            await session.execute(text("set local idle_in_transaction_session_timeout = 20"))
            if frozen:
                time.sleep(0.2)  # noqa: ASYNC251 - as a process that is stopped: nothing in it goes on
            else:
                await asyncio.sleep(0.2)
            await session.execute(text("select 1"))

    with pytest.raises(Unavailable):
        await idle()

    await ask(database)


async def test_no_transaction_can_be_idle_for_ever(database: Database) -> None:
    async with database.writing() as session:
        assert await session.scalar(text("show idle_in_transaction_session_timeout")) == "3s"
        assert await session.scalar(text("show lock_timeout")) == "5s"


async def test_a_lock_that_is_held_for_too_long_is_told_as_busy(database: Database) -> None:
    async def locked() -> None:
        async with database.writing() as session:
            await session.execute(text("set local lock_timeout = 20"))
            await session.execute(text("select 1 from users for update"))

    async with database.writing() as holder:
        await holder.execute(text("select 1 from users for update"))
        with pytest.raises(Unavailable, match="busy"):
            await locked()


async def test_a_deadlock_is_unavailable_for_one_of_the_two(database: Database) -> None:
    both = asyncio.Barrier(2)

    async def lock(first: int, second: int) -> None:
        async with database.writing() as session:
            await session.execute(text("select pg_advisory_xact_lock(:n)"), {"n": first})
            await both.wait()
            await session.execute(text("select pg_advisory_xact_lock(:n)"), {"n": second})

    ended = await asyncio.gather(lock(1, 2), lock(2, 1), return_exceptions=True)

    assert sorted(type(end).__name__ for end in ended) == ["NoneType", "Unavailable"]


async def test_a_server_without_a_connection_to_spare_is_unavailable(
    mortal: Postgres, database: Database
) -> None:
    await database.close()
    others: list[Any] = []

    async def take_all() -> None:
        while True:
            others.append(await asyncpg.connect(mortal.url))

    with pytest.raises(asyncpg.TooManyConnectionsError):
        await take_all()
    try:
        with pytest.raises(Unavailable, match="cannot be reached"):
            await ask(database)
    finally:
        await asyncio.gather(*(other.close() for other in others))

    await ask(database)


async def test_a_pool_without_a_connection_to_spare_is_unavailable(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.engines.BUSY_SECONDS", 0.1)
    small = Database(str(database.url.render_as_string(False)))
    enough, release = asyncio.Semaphore(0), asyncio.Event()

    async def hold() -> None:
        async with small.writing() as session:
            await session.execute(text("select 1"))
            enough.release()
            await release.wait()

    holders = [asyncio.create_task(hold()) for _ in range(10)]
    for _ in holders:
        await enough.acquire()

    with pytest.raises(Unavailable, match="busy"):
        await ask(small)

    release.set()
    await asyncio.gather(*holders)
    await ask(small)
    await small.close()


@pytest.mark.parametrize("begin", [Database.open, Database.upgrade])
async def test_what_only_other_settings_can_mend_is_said_at_the_start(
    mortal: Postgres, begin: Callable[[Database], Awaitable[object]]
) -> None:
    for url, reason in (
        (mortal.url_of("elsewhere"), 'database "elsewhere" does not exist'),
        (mortal.url.replace("chat@", "nobody@"), 'role "nobody" does not exist'),
        (f"{mortal.url.replace('chat@', 'chat@127.0.0.1')}&sslmode=perhaps", "must be one of"),
    ):
        database = Database(url)
        with pytest.raises(schema.Wrong, match=reason):
            await begin(database)
        await database.close()


async def test_a_column_that_another_process_changed_costs_one_try(database: Database) -> None:
    async def read() -> None:
        async with database.reading() as session:
            await session.execute(text("select title from conversations"))

    await read()
    async with connected(database) as other:
        await other.execute("alter table conversations alter column title type varchar(2000)")

    with pytest.raises(Unavailable):
        await read()
    await read()


@pytest.mark.parametrize("value", [2**70, "\ud800"])
async def test_a_value_that_no_database_takes_is_no_refusal(database: Database, value: object) -> None:
    statement = "cast(:value as bigint)" if isinstance(value, int) else "cast(:value as text)"

    with pytest.raises((DBAPIError, UnicodeEncodeError)):
        async with database.writing() as session:
            await session.execute(text(f"select {statement}"), {"value": value})

    await ask(database)


async def test_a_migration_waits_for_another_as_long_as_it_takes(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.engines.BUSY_SECONDS", 0.01)
    later = Database(database.url.render_as_string(False))
    async with database.writing() as session:
        await session.execute(text("select pg_advisory_xact_lock(:n)"), {"n": schema.MIGRATING})
        waiting = asyncio.create_task(later.upgrade())
        waits = text("select count(*) from pg_locks where locktype = 'advisory' and not granted")
        while not await session.scalar(waits):
            await session.execute(text("select pg_stat_clear_snapshot()"))
        await session.execute(text("select pg_sleep(0.1)"))
        assert not waiting.done()

    await waiting
    await later.close()
