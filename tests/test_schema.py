"""The schema: no file is taken for what it is not, and a change of it is whole or has not happened."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from click.testing import CliRunner
from sqlalchemy import Connection, text

from app import conversations, schema
from app.cli import main
from app.db import Database

STORES = ("sqlite", "postgresql")
ROOT = Path(__file__).parent.parent
HEAD = schema.head()


KILLED_INSIDE = """
import os, signal
from alembic import command
from app import cli
upgrade = command.upgrade

def upgrade_and_be_killed(*arguments):
    upgrade(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)

command.upgrade = upgrade_and_be_killed
cli.main(["migrate"])
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


@pytest.fixture
async def of_today(path: Path) -> AsyncIterator[Database]:
    """A database in a file, whatever else is tested over both stores."""
    database = Database(f"sqlite:///{path}")
    await database.upgrade()
    yield database
    await database.close()


def begin(path: Path, *command: str) -> subprocess.Popen[str]:
    """A command of the real program, with a database and a port of its own, begun."""
    return subprocess.Popen(
        [sys.executable, *(command if len(command) > 1 else ("-m", "app", *command))],
        cwd=ROOT,
        env={"DATABASE_URL": f"sqlite:///{path}", "PORT": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Wait for it; what it said."""
    said, complained = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, said, complained)


def run(path: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A command of the real program, run to its end."""
    return end(begin(path, *command))


async def age(database: Database) -> None:
    """Bring a database back to the schema that it had before leases."""
    async with database.writing() as session:
        for name in ("worker", "attempt", "waiting"):
            await session.execute(text(f"alter table messages drop column {name}"))
        await session.execute(text("drop table workers"))
        await session.execute(text("update alembic_version set version_num = '0002'"))


async def tables(database: Database) -> set[str]:
    """The names of its tables, and the schema that it says it has."""
    names = (
        "select name from sqlite_master where type = 'table'"
        if database.is_sqlite
        else "select tablename from pg_tables where schemaname = 'public'"
    )
    async with database.reading() as session:
        found = set(await session.scalars(text(names))) & {"workers", "messages", "half"}
        return found | set(await session.scalars(text("select version_num from alembic_version")))


def of_file(path: Path, query: str) -> list[object]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute(query)]


def damage_header(path: Path) -> None:
    run(path, "migrate")
    path.write_bytes(b"Lost and gone   " + path.read_bytes()[16:])


def lose_the_file(path: Path) -> None:
    Path(f"{path}-wal").write_bytes(b"what was written last")


def empty_the_file(path: Path) -> None:
    path.touch()
    lose_the_file(path)


def another_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table photographs (id integer primary key)")


def a_newer_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("create table alembic_version (version_num text)")
        connection.execute("insert into alembic_version values ('9999')")


def content(folder: Path) -> dict[str, object]:
    """All that is in it: the rows of databases, the bytes of other files."""
    found: dict[str, object] = {}
    for one in folder.iterdir():
        if one.is_file():
            found[one.name] = one.read_bytes()
            if one.read_bytes().startswith(b"SQLite format"):
                with closing(sqlite3.connect(one)) as connection:
                    found[one.name] = list(connection.iterdump())
    return found


@pytest.mark.fault(38)
@pytest.mark.fault(40)
@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda path: path.write_text("Dear diary,\n" * 500), "is not a database"),
        (damage_header, "is not a database"),
        (Path.mkdir, "is a folder and no database"),
        (lose_the_file, "is gone, but chat.db-wal"),
        (empty_the_file, "is empty, but chat.db-wal"),
        (another_program, "of another program"),
        (a_newer_program, "a newer version of this program (schema 9999"),
    ],
)
def test_what_is_not_our_database_is_refused_in_one_line_and_left_alone(
    spoil: Callable[[Path], None], sentence: str, path: Path
) -> None:
    spoil(path)
    before = content(path.parent)

    done = CliRunner().invoke(main, ["migrate"], env={"DATABASE_URL": f"sqlite:///{path}"})

    assert done.exit_code == 2
    assert sentence in done.output
    assert len(done.output.splitlines()) == 1
    assert content(path.parent) == before


@pytest.mark.fault(38)
def test_a_folder_that_cannot_be_made_is_told_in_one_line(path: Path) -> None:
    path.touch()

    done = run(path / "chat.db", "serve")

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "cannot be opened" in done.stderr


@pytest.mark.fault(38)
@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="there is no folder that nobody can write to")
def test_a_folder_that_cannot_be_written_to_is_told_in_one_line_with_the_reason() -> None:
    done = run(Path("/proc/self/chat.db"), "serve")

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "/proc/self/chat.db cannot be opened as a database ([Errno" in done.stderr


@pytest.mark.fault(38)
def test_a_new_database_is_begun_with_a_line_that_says_so_and_only_then(path: Path) -> None:
    first, second = run(path, "migrate"), run(path, "migrate")

    assert first.stderr == f"fastapi-llm: began a new database, {path}\n"
    assert second.stderr == ""
    assert first.stdout == second.stdout == f"The database is up to date: {path.resolve()}, schema {HEAD}.\n"


@pytest.mark.fault(40)
async def test_a_copy_of_the_older_database_is_whole_with_what_is_still_in_its_log(
    path: Path, of_today: Database
) -> None:
    async with of_today.writing() as session:
        await conversations.add_turn(session, 1, prompt="Keep me", model="m")
    await age(of_today)

    # The connections of the older program are still open, so nothing has left the log.
    done = await asyncio.to_thread(run, path, "migrate")

    assert done.returncode == 0, done.stderr
    backup = path.with_name("chat.db.0002.backup")
    assert of_file(backup, "pragma integrity_check") == ["ok"]
    assert of_file(backup, "select version_num from alembic_version") == ["0002"]
    assert of_file(backup, "select text from messages where role = 'user'") == ["Keep me"]
    assert of_file(path, "select version_num from alembic_version") == [HEAD]
    assert of_file(path, "select text from messages where role = 'user'") == ["Keep me"]
    assert not list(path.parent.glob("*.part*"))


@pytest.mark.fault(40)
async def test_a_copy_that_broke_off_is_made_anew(path: Path, of_today: Database) -> None:
    await age(of_today)
    for left_over in ("chat.db.0002.backup.part", "chat.db.0002.backup.part-journal"):
        path.with_name(left_over).write_bytes(b"half a page" * 100)

    await of_today.upgrade()

    backup = path.with_name("chat.db.0002.backup")
    assert of_file(backup, "pragma integrity_check") == ["ok"]
    assert of_file(backup, "select version_num from alembic_version") == ["0002"]
    assert not list(path.parent.glob("*.part*"))


@pytest.mark.fault(40)
async def test_nothing_is_changed_where_no_copy_can_be_made(path: Path, of_today: Database) -> None:
    await age(of_today)
    path.with_name("chat.db.0002.backup").mkdir()

    with pytest.raises(schema.Wrong, match=r"could not be copied to chat\.db\.0002\.backup"):
        await of_today.upgrade()

    assert await tables(of_today) == {"messages", "0002"}


@pytest.mark.fault(40)
async def test_a_migration_that_breaks_leaves_the_schema_that_there_was(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await age(database)
    upgrade = command.upgrade

    def break_off(config: object, revision: str) -> None:
        upgrade(config, revision)  # type: ignore[arg-type] # handed on as it came
        connection: Connection = config.attributes["connection"]  # type: ignore[attr-defined]
        connection.execute(text("create table half (id integer)"))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", break_off)
        with pytest.raises(KeyboardInterrupt):
            await database.upgrade()
    assert await tables(database) == {"messages", "0002"}

    await database.upgrade()
    assert await tables(database) == {"messages", "workers", HEAD}


@pytest.mark.fault(40)
async def test_a_process_killed_in_a_migration_leaves_the_schema_that_there_was(
    path: Path, of_today: Database
) -> None:
    await age(of_today)

    killed = await asyncio.to_thread(run, path, "-c", KILLED_INSIDE)

    assert killed.returncode == -signal.SIGKILL
    assert await tables(of_today) == {"messages", "0002"}
    assert (await asyncio.to_thread(run, path, "migrate")).returncode == 0
    assert await tables(of_today) == {"messages", "workers", HEAD}


@pytest.mark.fault(40)
async def test_of_two_processes_that_migrate_at_once_neither_fails(path: Path, of_today: Database) -> None:
    await age(of_today)

    both = [await asyncio.to_thread(end, one) for one in [begin(path, "migrate") for _ in range(2)]]

    assert [done.returncode for done in both] == [0, 0], both
    assert await tables(of_today) == {"messages", "workers", HEAD}
    backup = path.with_name("chat.db.0002.backup")
    assert of_file(backup, "select version_num from alembic_version") == ["0002"]


@pytest.mark.fault(40)
async def test_of_several_that_migrate_at_once_one_does(store: str, database: Database) -> None:
    await age(database)
    several = [Database(store) for _ in range(4)]

    await asyncio.gather(*(one.upgrade() for one in several))

    assert await tables(database) == {"messages", "workers", HEAD}
    for one in several:
        await one.close()


@pytest.mark.fault(40)
async def test_a_database_of_a_newer_program_is_refused(database: Database) -> None:
    async with database.writing() as session:
        await session.execute(text("update alembic_version set version_num = '9999'"))

    with pytest.raises(schema.Wrong, match=r"newer version of this program \(schema 9999"):
        await database.upgrade()


def test_the_folder_that_is_made_for_a_new_database_is_its_owners_alone(tmp_path: Path) -> None:
    schema.prepare_file(tmp_path / "data" / "chat.db")

    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
