"""The command line."""

import asyncio
import errno
import gc
import logging
import signal
import sys
from contextlib import suppress
from socket import AF_INET, AF_INET6, SO_REUSEADDR, SO_SNDBUF, SOCK_STREAM, SOL_SOCKET, socket
from types import FrameType
from typing import Any

import click
import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError

from app import doubts, logs, schema
from app.connections import Connection
from app.db import Database, Unavailable
from app.main import create_app, running_chat
from app.providers import Pace, choose_provider
from app.refusals import reason
from app.settings import Settings

if sys.platform != "win32":
    import resource

ALLOCATIONS = 50_000
"""New objects after which Python looks among them for garbage cycles; 700 unless told."""

UNSENT_BYTES = 64 * 1024
FAREWELL_SECONDS = 2
"""How long connections may take to end when the server is stopped and their answers have ended."""


@click.group()
def main() -> None:
    """An LLM chat that is plain hypermedia."""


@main.command()
@click.option(
    "--reload",
    is_flag=True,
    help="Restart when a Python or CSS file changes; read templates anew for each page.",
)
def serve(*, reload: bool) -> None:
    """Start the chat. It is set up by environment variables or a .env file."""
    settings = _settings()
    # Who edits wants to see what comes, unless they said otherwise.
    quiet = not reload or "log_level" in settings.model_fields_set
    options: dict[str, Any] = {
        "http": Connection,
        "timeout_graceful_shutdown": FAREWELL_SECONDS,
        "server_header": False,
        "access_log": False,  # our own has the request's id, and never what was asked behind a question mark
        "log_config": logs.configure(settings.log_format, settings.log_level if quiet else "info"),
    }
    if reload:
        address: dict[str, Any] = {"host": settings.host, "port": settings.port}
        uvicorn.run(
            "app.main:reloadable",
            factory=True,
            reload=True,
            reload_dirs=["app", "static"],
            reload_includes=["*.css"],
            **address,
            **options,
        )
        return
    doubts.tell(settings)
    # Bound before anything is opened, so that a second start by mistake does nothing at all.
    with _bound(settings.host, settings.port) as listening:
        _opened(settings)
        _allow_connections()
        app = create_app(settings)
        config = uvicorn.Config(app, **options)
        ChatServer(app, config, settings.grace_seconds).run(sockets=[listening])


@main.command()
def worker() -> None:
    """Write answers for web processes.

    Those run with GENERATE_IN=worker, over the same database.
    """
    settings = _settings()
    logs.configure(settings.log_format, settings.log_level)
    _opened(settings)
    doubts.tell(settings, works=True)
    asyncio.run(_work(settings))


@main.command()
def migrate() -> None:
    """Create the database's tables or update them.

    A SQLite file is copied before.
    """
    settings = _settings()
    logs.configure(settings.log_format, settings.log_level)
    doubts.tell(settings)
    database = _opened(settings, migrates=True)
    click.echo(f"The database is up to date: {database.full_name}, schema {schema.head()}.")


@main.command()
def settings() -> None:
    """Print every setting, as a table in Markdown."""
    click.echo(settings_table())


def settings_table() -> str:
    """Every setting, as `docs/settings.md` has them."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, ()) else f"`{field.default}`"
        rows.append(f"| `{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def _look_for_garbage_less() -> None:
    """Have Python look for garbage cycles less often, and not among what has been loaded.

    Its own numbers are for small programs: of hundreds of answers all that is at work at once was taken for
    long-lived, and looked through every few seconds for 0.2 s, in which nobody is answered.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(ALLOCATIONS)


def _allow_connections() -> None:
    """Allow as many open connections as the system lets this user have; the usual first limit is 1,024."""
    if sys.platform != "win32":
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        with suppress(ValueError, OSError):  # macOS says that there is no limit, and then has one
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class ChatServer(uvicorn.Server):
    """Says where it listens, once it does, and lets running answers end before it ends their readers.

    SIGTERM: no new answers, those that run may come to their end for `grace_seconds`, the rest is
    interrupted and kept. SIGINT, or a second signal, does not wait. Both exit with status 0.
    """

    def __init__(self, app: FastAPI, config: uvicorn.Config, grace_seconds: float) -> None:
        super().__init__(config)
        self._app = app
        self._grace_seconds = grace_seconds
        self._draining: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end. Unlike uvicorn's own it does not raise the signal again at the end."""
        if sig == signal.SIGTERM and self._draining is None and self.started:
            self._draining = asyncio.get_running_loop().create_task(self._drain())
        else:
            self.force_exit = self.should_exit
            self.should_exit = True

    async def _drain(self) -> None:
        await self._app.state.chat.generations.drain(self._grace_seconds)
        self.should_exit = True

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Start, then print the address."""
        await super().startup(sockets)
        _look_for_garbage_less()
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            logs.announce(f"fastapi-llm: http://{f'[{host}]' if ':' in host else host}:{port}")

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Interrupt what is still being written: its readers are told so, and their responses end."""
        await self._app.state.chat.generations.close()
        await super().shutdown(sockets)
        if self.force_exit:
            # After a second signal uvicorn would leave the rest to be cancelled, and log that as an error.
            await self.lifespan.shutdown()


async def _work(settings: Settings) -> None:
    """Write answers until a signal comes; then as a server does."""
    signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for one in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(one, signals.put_nowait, one)
    pace = Pace()
    async with running_chat(settings, choose_provider(settings, pace), pace, writes=True) as chat:
        _look_for_garbage_less()
        logs.announce("fastapi-llm: writing answers")
        if await signals.get() == signal.SIGTERM:
            draining = asyncio.create_task(chat.generations.drain(settings.grace_seconds))
            hurried = asyncio.create_task(signals.get())
            await asyncio.wait((draining, hurried), return_when=asyncio.FIRST_COMPLETED)
            draining.cancel()
            hurried.cancel()


def _opened(settings: Settings, *, migrates: bool = False) -> Database:
    """See that the database can be worked with, before anything else is begun; else end, in one line.

    It is closed again. A server's that cannot be reached is waited for, unless it is to be migrated.
    """

    async def opened() -> None:
        new = database.path and schema.is_new(database.path)
        try:
            away = await (database.upgrade() if migrates else database.open())
        finally:
            await database.close()
        if away:
            logs.announce(f"fastapi-llm: the database is waited for. {_in_full(away, database)}")
        if new:
            logs.announce(f"fastapi-llm: began a new database, {database.path}")

    database = Database(settings.database_url)
    try:
        asyncio.run(opened())
    except schema.Wrong as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except Unavailable as error:
        click.echo(_in_full(error, database), err=True)
        sys.exit(2)
    return database


def _in_full(error: Unavailable, database: Database) -> str:
    """A refusal with what readers need not know: where the database is, and what it or its driver said."""
    return f"{error} ({database.place}: {reason(error)})"


def _bound(host: str, port: int) -> socket:
    family = AF_INET6 if ":" in host else AF_INET
    listening = socket(family, SOCK_STREAM)
    listening.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    # What a slow reader has not taken is better kept as a position than as megabytes in the kernel.
    listening.setsockopt(SOL_SOCKET, SO_SNDBUF, UNSENT_BYTES)
    try:
        listening.bind((host, port))
        # From here on nobody else has the port: two that are only bound would both get past this.
        listening.listen()
    except OSError as error:
        listening.close()
        other = "PORT" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "HOST"
        click.echo(
            f"Cannot listen on {host}, port {port}: {error.strerror}. {other} takes another.", err=True
        )
        sys.exit(2)
    return listening


def _settings() -> Settings:
    # It tells of lines that it does not understand, but not of which file; `doubts` does.
    logging.getLogger("dotenv").setLevel(logging.ERROR)
    try:
        return Settings()
    except UnicodeDecodeError:
        # Only the file can do that: Python takes whatever bytes are in the environment.
        click.echo(f"{Settings.model_config.get('env_file')}: this file is not written in UTF-8.", err=True)
        sys.exit(2)
    except ValidationError as error:
        for problem in error.errors():
            name = ".".join(str(part) for part in problem["loc"]).upper()
            click.echo(
                ": ".join(filter(None, (name, problem["msg"].removeprefix("Value error, ")))), err=True
            )
        sys.exit(2)
