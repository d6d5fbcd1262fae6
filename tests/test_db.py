"""The database: the schema that the tables describe, no lost update, nobody locked out."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from app import answers, conversations, schema
from app.answers import STOPPED, Piece
from app.db import Database, Unavailable
from app.providers.scripted import ScriptedProvider
from app.settings import Settings
from app.tables import Table
from tests.storage import locked
from tests.test_generation import Bench


async def test_the_migrations_make_the_tables_that_the_code_describes(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        return list(compare_metadata(context, Table.metadata))

    async with database.reading() as session:
        found = await (await session.connection()).run_sync(differences)

    assert found == []


async def test_an_upgrade_of_what_is_up_to_date_changes_nothing(database: Database) -> None:
    await database.upgrade()

    async with database.reading() as session:
        assert await session.scalar(text("select count(*) from users")) == 1


async def test_a_database_of_the_first_schema_is_brought_up_to_date_with_all_that_is_in_it(
    settings: Settings, database: Database
) -> None:
    async with database.writing() as session:
        turn = await conversations.add_turn(session, 1, prompt="Hi", model="m")
    async with database.writing() as session:
        await session.execute(text("alter table messages drop column reasoning_seconds"))
        for name in ("worker", "attempt", "waiting"):
            await session.execute(text(f"alter table messages drop column {name}"))
        await session.execute(text("drop table workers"))
        await session.execute(text("update alembic_version set version_num = '0001'"))

    later = Database(settings.database_url)
    await later.upgrade()

    async with later.reading() as session:
        message = await conversations.find_message(session, 1, turn.prompt.id)
    await later.close()
    assert message
    assert (message.text, message.reasoning_seconds) == ("Hi", None)


async def test_an_answer_that_an_older_program_was_killed_in_is_interrupted_and_not_asked_for_again(
    settings: Settings, database: Database, provider: ScriptedProvider
) -> None:
    async with database.writing() as session:
        turn = await conversations.add_turn(session, 1, prompt="Hi", model="m")
        await answers.append(session, [Piece(turn.answer.id, "text", 0, "Half")])
        for name in ("worker", "attempt", "waiting"):
            await session.execute(text(f"alter table messages drop column {name}"))
        await session.execute(text("drop table workers"))
        await session.execute(text("update alembic_version set version_num = '0002'"))

    later = Database(settings.database_url)
    await later.upgrade()
    bench = Bench(later, provider.stream)
    await bench.generations.open()
    ended = await bench.end_of(turn.answer.id)

    await bench.generations.close()
    await later.close()
    assert (ended.status, ended.text, ended.error) == ("interrupted", "Half", STOPPED)
    assert not provider.asked


async def test_no_update_is_lost_and_readers_never_wait(database: Database) -> None:
    async def add_one() -> None:
        async with database.writing() as session:
            count = int(await session.scalar(text("select name from users where id = 1")) or 0)
            await asyncio.sleep(0)
            await session.execute(text("update users set name = :n where id = 1"), {"n": str(count + 1)})

    async def read() -> None:
        async with database.reading() as session:
            await session.scalar(text("select name from users"))

    async with database.writing() as session:
        await session.execute(text("update users set name = '0'"))
    await asyncio.gather(*(add_one() for _ in range(100)), *(read() for _ in range(50)))

    async with database.reading() as session:
        assert await session.scalar(text("select name from users where id = 1")) == "100"


async def test_a_reader_who_leaves_amid_a_query_does_not_take_the_connection_along(
    database: Database,
) -> None:
    counted: list[int] = []
    asked = anyio.Event()
    slow = text(
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 300000)"
        " select count(*) from n"
    )

    async def read() -> None:
        async with database.reading() as session:
            asked.set()
            counted.append(await session.scalar(slow) or 0)

    async with anyio.create_task_group() as readers:
        readers.start_soon(read)
        await asked.wait()
        readers.cancel_scope.cancel()

    assert counted == [300_000]


async def test_what_was_committed_survives_losing_power(database: Database) -> None:
    async with database.writing() as session:
        assert await session.scalar(text("pragma synchronous")) == 2  # FULL
        assert await session.scalar(text("pragma journal_mode")) == "wal"
        assert await session.scalar(text("pragma foreign_keys")) == 1


async def test_the_folder_of_a_database_is_made(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/new/folder/chat.db")

    await database.upgrade()
    await database.close()

    assert (tmp_path / "new/folder/chat.db").exists()


async def test_what_waits_for_nothing_is_done_at_once_and_the_rest_beside_the_event_loop(
    database: Database,
) -> None:
    threads: list[int] = []

    def note() -> str:
        threads.append(threading.get_ident())
        return "noted"

    async with database.writing() as session:
        connection = await session.connection()
        driver: Any = (await connection.get_raw_connection()).driver_connection
        await driver.create_function("note", 0, note)
        await connection.exec_driver_sql("UPDATE users SET name = note()")
        await connection.exec_driver_sql("/* what is not known to be short */ SELECT note()")

    assert threads[0] == threading.get_ident()
    assert threads[1] != threading.get_ident()


async def test_the_lock_of_a_file_is_taken_at_once_where_it_is_free(
    settings: Settings, database: Database
) -> None:
    begun: list[int] = []

    def note(statement: str) -> None:
        if statement == "BEGIN IMMEDIATE":
            begun.append(threading.get_ident())

    async def write() -> None:
        async with database.writing():
            pass

    async with database.writing() as session:
        raw = await (await session.connection()).get_raw_connection()
        driver: Any = raw.driver_connection
        await driver.set_trace_callback(note)
    async with database.writing():
        assert begun == [threading.get_ident()]

    with locked(Path(settings.database_url.removeprefix("sqlite:///"))):
        writing = asyncio.create_task(write())
        for _ in range(20):
            await asyncio.sleep(0)
    await writing

    at_once, waited = begun[1:]
    assert at_once == threading.get_ident() != waited


async def test_what_writes_to_a_file_keeps_its_connection_until_something_fails(database: Database) -> None:
    async def connection() -> object:
        async with database.storing() as connection:
            return connection.sync_connection

    first = await connection()
    assert await connection() is first

    async def fail() -> None:
        async with database.writing() as session:
            await session.execute(text("update users set draft = 'never stored'"))
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        await fail()

    second = await connection()
    assert second is not first
    assert await connection() is second
    async with database.reading() as session:
        assert await session.scalar(text("select draft from users")) == ""


async def test_a_commit_that_fails_leaves_nothing_open(database: Database) -> None:
    async with database.writing() as session:
        turn = await conversations.add_turn(session, 1, prompt="Hi", model="m")

    async def break_off() -> None:
        async with database.writing() as session:
            await session.execute(text("pragma defer_foreign_keys=on"))
            await session.execute(text("update messages set conversation_id = 999"))

    with pytest.raises(IntegrityError):
        await break_off()

    async with database.writing() as session:
        assert await conversations.find_message(session, 1, turn.prompt.id)
        await session.execute(text("update users set draft = 'stored'"))
    async with database.reading() as session:
        assert await session.scalar(text("select draft from users")) == "stored"
        message = await conversations.find_message(session, 1, turn.prompt.id)
    assert message
    assert message.conversation_id == turn.conversation.id


async def test_who_is_cancelled_while_it_writes_leaves_nothing_behind(database: Database) -> None:
    begun = asyncio.Event()

    async def write() -> None:
        async with database.writing() as session:
            await session.execute(text("update users set draft = 'never stored'"))
            begun.set()
            await asyncio.Event().wait()

    writing, waiting = asyncio.create_task(write()), asyncio.create_task(write())
    await begun.wait()
    for task in (waiting, writing):
        task.cancel()
    await asyncio.wait([writing, waiting])

    assert writing.cancelled()
    assert waiting.cancelled()
    async with database.writing() as session:
        assert await session.scalar(text("select draft from users")) == ""


@pytest.mark.fault(35)
async def test_a_turn_that_changes_hands_is_not_waited_for_without_limit(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.engines.BUSY_SECONDS", 0.2)
    release = asyncio.Event()

    async def hold() -> None:
        async with database.storing():
            await release.wait()

    async def write() -> None:
        async with database.storing():
            raise AssertionError("it is another's turn")

    async with database.storing():
        holding = asyncio.create_task(hold())
        await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="busy"):
        await write()

    release.set()
    await holding


async def test_who_waits_for_the_lock_of_a_file_does_not_hold_up_the_others(
    settings: Settings, database: Database
) -> None:
    order: list[str] = []

    async def write() -> None:
        async with database.writing():
            order.append("written")

    with locked(Path(settings.database_url.removeprefix("sqlite:///"))):
        writing = asyncio.create_task(write())
        for _ in range(20):
            await asyncio.sleep(0)
            async with database.reading() as session:
                await session.scalar(text("select 1"))
        order.append("read")
    await writing

    assert order == ["read", "written"]


def test_the_files_of_the_migrations_are_named_after_them() -> None:
    scripts = ScriptDirectory(str(schema.MIGRATIONS))

    assert {script.revision for script in scripts.walk_revisions()} == schema.revisions()
    assert scripts.get_current_head() == schema.head()


def test_its_name_says_which_it_is_without_a_password() -> None:
    over_tcp = Database("postgresql://anna:secret@db.example/chat?sslmode=require")
    over_a_socket = Database("postgresql://anna:secret@/chat?host=/run/postgresql&port=5433")

    assert over_tcp.full_name == "chat at db.example:5432"
    assert over_a_socket.full_name == "chat at /run/postgresql:5433"
    assert Database("sqlite:///data/chat.db").full_name == str(Path.cwd() / "data" / "chat.db")
