"""The schema: which one a database has, which one this program knows, and how to get there."""

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, inspect, text

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


def upgrade(connection: Connection, path: Path | None = None) -> None:
    """Bring a database up to date, in one transaction; a SQLite file, at `path`, is copied before.

    Raises Wrong for one of a newer or another program, and where the copy cannot be made.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": MIGRATING})
    current = _revision(connection)
    if current == head():
        return
    _refuse_newer(current)
    if path and current:
        _copy(path, current)
    elif path and (others := inspect(connection).get_table_names()):
        raise Wrong(
            f"{path} is a database of another program (it has a table {others[0]}). Use another DATABASE_URL."
        )
    # Imported only here: it takes as long as a third of all else, and 10 MB.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def prepare_file(path: Path) -> None:
    """Look at a SQLite file before it is opened; a new one is made, empty, and so is its folder.

    Raises Wrong for what is no database, for one of a newer program, and where there was a database
    whose file is gone or empty.
    """
    try:
        if is_new(path):
            # SQLite would remove that file without a word, with all that was written last.
            if _size(Path(f"{path}-wal")):
                found = "empty" if path.exists() else "gone"
                raise Wrong(
                    f"{path} is {found}, but {path.name}-wal, which belongs to it, is there. Put the file "
                    "back, or remove that one too to begin anew."
                )
            # What people wrote is nobody else's to read, whatever the umask says.
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch()  # says why it cannot be made, where SQLite says only that it cannot
            return
        if path.is_dir():
            raise Wrong(f"{path} is a folder and no database. Use another DATABASE_URL.")
        with closing(sqlite3.connect(path, timeout=5)) as connection:
            _refuse_newer(_revision_of_file(connection))
    except (sqlite3.OperationalError, OSError) as error:
        raise Wrong(f"{path} cannot be opened as a database ({error}).") from error
    except sqlite3.DatabaseError as error:
        raise Wrong(f"{path} cannot be opened as a database ({error}). Restore it from a copy.") from error


def is_new(path: Path) -> bool:
    """Whether a database is yet to begin in this file."""
    return not path.exists() or (path.is_file() and not _size(path))


def head() -> str:
    """The schema that this program knows."""
    return max(revisions())


def revisions() -> set[str]:
    """All schemas that there ever were, which are the names of the migrations' files up to the `_`."""
    return {path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py")}


def _refuse_newer(current: str | None) -> None:
    if current and current not in revisions():
        raise Wrong(
            f"The database was written by a newer version of this program (schema {current}; this one knows "
            f"{head()}). Update the program, or use another DATABASE_URL."
        )


def _copy(path: Path, revision: str) -> None:
    """Copy a SQLite file beside itself, as `chat.db.0002.backup`; the caller holds its write lock.

    A copy has that name only once it is whole. It takes the place of an earlier one of that schema.
    """
    backup = path.with_name(f"{path.name}.{revision}.backup")
    part = Path(f"{backup}.part")
    try:
        for left_over in (part, Path(f"{part}-journal")):
            left_over.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as connection, closing(sqlite3.connect(part)) as copy:
            connection.backup(copy)
        part.rename(backup)
    except (sqlite3.Error, OSError) as error:
        raise Wrong(
            f"{path} has an older schema ({revision}) and could not be copied to {backup.name} ({error}), so "
            "it was left as it is."
        ) from error


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def _revision_of_file(connection: sqlite3.Connection) -> str | None:
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone() if known else None
    return str(row[0]) if row else None
