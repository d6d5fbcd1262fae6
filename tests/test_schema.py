"""The schema: brought up to date with a copy beside it, refused where it is another, never lost unsaid."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from click.testing import CliRunner
from sqlalchemy import text

from app import schema
from app.cli import main
from app.db import Database

STORES = ("sqlite", "postgresql")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


@pytest.fixture
def half_a_copy(path: Path) -> Path:
    half = Path(f"{path}.0002.backup.part")
    half.write_bytes(b"half")
    return half


async def made_old(url: str) -> None:
    """A database as the second schema left it."""
    database = Database(url)
    await database.upgrade()
    async with database.writing() as session:
        await session.execute(text("drop table workers"))
        for name in ("worker", "attempt", "waiting"):
            await session.execute(text(f"alter table messages drop column {name}"))
        await session.execute(text("update alembic_version set version_num = '0002'"))
        await session.execute(text("update users set name = 'kept'"))
    await database.close()


async def revision_of(url: str) -> str:
    database = Database(url)
    async with database.writer.connect() as connection:
        found = str(await connection.scalar(text("select version_num from alembic_version")))
    await database.close()
    return found


def refusal(environment: dict[str, str]) -> str:
    """What `serve` says that refuses to start."""
    result = CliRunner().invoke(main, ["serve"], env={"PORT": "0", **environment})
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    return result.output


@pytest.mark.fault(40)
async def test_an_old_file_is_copied_whole_before_it_is_changed(path: Path) -> None:
    await made_old(f"sqlite:///{path}")
    writing = sqlite3.connect(path)  # its last change is in the log beside the file still
    writing.execute("update users set draft = 'in the log'")
    writing.commit()

    database = Database(f"sqlite:///{path}")
    await database.open()
    await database.close()
    writing.close()

    with closing(sqlite3.connect(f"{path}.0002.backup")) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert copy.execute("select name, draft from users").fetchone() == ("kept", "in the log")
        assert copy.execute("select version_num from alembic_version").fetchone() == ("0002",)
    assert await revision_of(f"sqlite:///{path}") == schema.head()


@pytest.mark.fault(40)
async def test_a_copy_that_broke_off_is_made_anew(path: Path, half_a_copy: Path) -> None:
    await made_old(f"sqlite:///{path}")

    database = Database(f"sqlite:///{path}")
    await database.open()
    await database.close()

    with closing(sqlite3.connect(f"{path}.0002.backup")) as copy:
        assert copy.execute("select name from users").fetchone() == ("kept",)


@pytest.mark.fault(40)
async def test_a_migration_that_breaks_off_changes_nothing(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await made_old(store)
    upgrade: Callable[..., None] = command.upgrade

    def broken(*arguments: object) -> None:
        upgrade(*arguments)
        raise RuntimeError("the power went")

    monkeypatch.setattr(command, "upgrade", broken)
    database = Database(store)
    with pytest.raises(RuntimeError):
        await database.upgrade()
    await database.close()

    assert await revision_of(store) == "0002"
    monkeypatch.undo()
    again = Database(store)
    await again.upgrade()
    await again.close()
    assert await revision_of(store) == schema.head()


@pytest.mark.fault(40)
async def test_a_newer_schema_is_refused(store: str) -> None:
    database = Database(store)
    await database.upgrade()
    async with database.writing() as session:
        await session.execute(text("update alembic_version set version_num = '9999'"))
    await database.close()

    with pytest.raises(schema.Wrong, match="newer version"):
        await Database(store).open()


@pytest.mark.fault(38)
@pytest.mark.parametrize("content", [b"This is a letter. " * 400, b"SQLite format 3\0" + b"\xff" * 8000])
def test_what_is_no_database_is_refused_in_one_line_and_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    said = refusal({"DATABASE_URL": f"sqlite:///{path}"})

    assert "cannot be opened as a database" in said
    assert len(said.strip().splitlines()) == 1
    assert path.read_bytes() == content


@pytest.mark.fault(38)
def test_a_folder_is_no_database(path: Path) -> None:
    path.mkdir()

    assert "cannot be opened" in refusal({"DATABASE_URL": f"sqlite:///{path}"})


@pytest.mark.fault(38)
def test_a_file_that_is_gone_is_not_begun_anew_beside_its_log(path: Path) -> None:
    Path(f"{path}-wal").write_bytes(b"some changes")

    said = refusal({"DATABASE_URL": f"sqlite:///{path}"})

    assert "is gone" in said
    assert not path.exists()


def test_migrate_says_which_schema_there_is_now(path: Path) -> None:
    environment = {"DATABASE_URL": f"sqlite:///{path}"}

    said = [CliRunner().invoke(main, ["migrate"], env=environment).output for _ in range(2)]

    assert said == [f"The database is up to date: schema {schema.head()}.\n"] * 2


def test_an_address_with_a_password_is_not_repeated() -> None:
    said = CliRunner().invoke(
        main, ["migrate"], env={"DATABASE_URL": "postgresql://chat:secret@127.0.0.1:9/chat"}
    )

    assert said.exit_code == 2
    assert "cannot be reached" in said.output
    assert "secret" not in said.output
