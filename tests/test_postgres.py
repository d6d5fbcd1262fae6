"""The PostgreSQL server that tests have: real, empty, and as durable as it is told to be."""

from collections.abc import Iterator

import asyncpg
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from tests import postgres as module
from tests.postgres import Postgres


async def test_every_database_is_new_and_empty(postgres: Postgres) -> None:
    for url in (postgres.new_database(), postgres.new_database()):
        connection = await asyncpg.connect(url)
        await connection.execute("create table a (b text)")
        assert await connection.fetchval("show server_encoding") == "UTF8"
        await connection.close()


async def test_sqlalchemy_finds_it_by_the_same_address(postgres_url: str) -> None:
    engine = create_async_engine(make_url(postgres_url).set(drivername="postgresql+asyncpg"))
    async with engine.connect() as connection:
        assert await connection.scalar(text("select 1")) == 1
    await engine.dispose()


@pytest.fixture
def durable() -> Iterator[Postgres]:
    with Postgres() as postgres:
        yield postgres


async def test_what_was_committed_is_there_after_a_crash_and_after_a_restart(durable: Postgres) -> None:
    url = durable.new_database()
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("show fsync") == "on"
    await connection.execute("create table kept (word text)")
    await connection.execute("insert into kept values ('kept')")

    durable.kill()
    with pytest.raises((asyncpg.PostgresError, OSError)):
        await connection.execute("select 1")
    connection.terminate()
    durable.start()
    durable.restart()

    connection = await asyncpg.connect(url)
    assert await connection.fetchval("select word from kept") == "kept"
    await connection.close()


def test_it_leaves_nothing_behind() -> None:
    with Postgres(fsync=False) as postgres:
        assert (postgres.folder / "data" / "postmaster.pid").exists()

    assert not postgres.folder.exists()


async def test_the_one_of_the_development_tools_does_where_none_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "INSTALLED", ())
    monkeypatch.setenv("PATH", "")

    with Postgres(fsync=False) as postgres:
        connection = await asyncpg.connect(postgres.new_database())
        await connection.close()
