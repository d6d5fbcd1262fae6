"""Who is measured: the application over its stores, and the baselines, each in processes of its own."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.arrivals import Kind
from bench.load import Load, run
from bench.processes import Child, descendants, memory_kb
from bench.upstream import Upstream
from e2e.server import Server
from tests.postgres import Postgres

RAW, TUTORIAL = "raw proxy", "tutorial"


@dataclass(frozen=True)
class Setup:
    """Servers of one kind that are running."""

    who: str
    kind: Kind
    ports: list[int]
    pids: list[int]
    postgres: int | None = None
    """The process of the database's server."""

    @property
    def database(self) -> list[int]:
        """The processes of the database's server, as they are now."""
        return [self.postgres, *descendants(self.postgres)] if self.postgres else []

    @property
    def memory_kb(self) -> int:
        """The memory that its processes have in use."""
        return memory_kb(self.pids)


@contextmanager
def raw(upstream: Upstream) -> Iterator[Setup]:
    """The proxy that passes bytes on."""
    with Child("bench.baselines.raw", f"127.0.0.1:{upstream.port}") as child:
        yield Setup(RAW, "raw", [child.port], [child.pid])


@contextmanager
def tutorial(upstream: Upstream) -> Iterator[Setup]:
    """The server in the manner of the tutorial."""
    with Child("bench.baselines.tutorial", upstream.api) as child:
        yield Setup(TUTORIAL, "tutorial", [child.port], [child.pid])


@contextmanager
def ours(
    upstream: Upstream,
    kind: Kind,
    *,
    postgres: Postgres | None = None,
    processes: int = 1,
    more: Mapping[str, str] | None = None,
) -> Iterator[Setup]:
    """The application over a new database: a SQLite file, or one of a PostgreSQL server."""
    with ExitStack() as closing:
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory()))
        url = postgres.new_database() if postgres else f"sqlite:///{folder}/chat.db"
        settings = {"database_url": url, "openai_base_url": upstream.api, "model": "scripted", **(more or {})}
        servers = [Server(folder, idle_seconds="3600", **settings) for _ in range(processes)]
        if postgres and (said := servers[0].run("migrate")).returncode:
            raise AssertionError(said.stderr)
        for server in servers:
            closing.enter_context(server)
        yield Setup(
            named(kind, "postgres" if postgres else "sqlite", processes),
            kind,
            [server.port for server in servers],
            [server.pid for server in servers],
            postgres.pid if postgres else None,
        )


def warm(setup: Setup, upstream: Upstream) -> int:
    """Have it answer a few times; the memory that it has then. What the first answers load is no stream's."""
    run(Load(setup.kind, setup.ports, upstream.port, setup.pids, count=4, seconds=0.3, name="warm"))
    return setup.memory_kb


def named(kind: Kind, store: str, processes: int) -> str:
    """What the application is called in a table: `text, SQLite, 1 process`."""
    said = {"text": "text", "html": "HTML"}[kind]
    where = {"sqlite": "SQLite", "postgres": "PostgreSQL"}[store]
    return f"{said}, {where}, {processes} process{'es' * (processes > 1)}"
