"""The schema: which one a database has, which one this program knows, and how to get there."""

import sqlite3
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATING = 7_201_842
"""The number of PostgreSQL's advisory lock that lets one process migrate at a time; it means nothing."""


class Wrong(Exception):
    """A database that this program cannot work with; `str(error)` says in one line what to do."""


def check(connection: Connection) -> None:
    """See that a database has the schema that this program knows. Raises Wrong."""
    current = _revision(connection)
    if current == head():
        return
    _refuse_newer(current)
    found = f"an older schema ({current})" if current else "no tables yet"
    raise Wrong(f"The database has {found}; this program needs {head()}. Run `python -m app migrate`.")


def upgrade(connection: Connection) -> None:
    """Bring a database up to date, in one transaction. Raises Wrong for one of a newer program."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": MIGRATING})
    current = _revision(connection)
    if current == head():
        return
    _refuse_newer(current)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def prepare_file(path: Path) -> None:
    """Make a SQLite file's folder; copy a file of an older schema beside itself, as `chat.db.0002.backup`.

    Raises Wrong for what is no database, for one of a newer program, and where there was a database
    whose file is gone.
    """
    if not path.exists():
        if Path(f"{path}-wal").exists():
            raise Wrong(
                f"{path} is gone, but {path.name}-wal, which belongs to it, is there. Put the file back, or "
                "remove that one too to begin anew."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        return
    try:
        with closing(sqlite3.connect(path, timeout=5)) as connection:
            current = _revision_of_file(connection)
            if current in (None, head()):
                return
            _refuse_newer(current)
            backup = path.with_name(f"{path.name}.{current}.backup")
            if not backup.exists():
                # Under another name until it is whole: what broke off must not be taken for a copy.
                part = Path(f"{backup}.part")
                part.unlink(missing_ok=True)
                with closing(sqlite3.connect(part)) as copy:
                    connection.backup(copy)
                part.rename(backup)
    except sqlite3.DatabaseError as error:
        raise Wrong(f"{path} cannot be opened as a database ({error}). Restore it from a copy.") from error


def head() -> str:
    """The schema that this program knows."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def _refuse_newer(current: str | None) -> None:
    if current and current not in {script.revision for script in _scripts().walk_revisions()}:
        raise Wrong(
            f"The database was written by a newer version of this program (schema {current}; this one knows "
            f"{head()}). Update the program, or use another DATABASE_URL."
        )


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _revision_of_file(connection: sqlite3.Connection) -> str | None:
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone() if known else None
    return str(row[0]) if row else None


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config
