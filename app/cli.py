"""The command line."""

import sys
from contextlib import suppress
from socket import AF_INET, AF_INET6, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET, socket
from typing import Any

import click
import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError

from app.main import create_app
from app.settings import Settings

GRACE_SECONDS = 5
"""How long connections may take to end when the server is stopped."""


@click.group()
def main() -> None:
    """An LLM chat that is plain hypermedia."""


@main.command()
@click.option(
    "--reload", is_flag=True, help="Restart when a Python file changes; read templates anew for each page."
)
def serve(*, reload: bool) -> None:
    """Start the chat. It is set up by environment variables or a .env file."""
    settings = _settings()
    options: dict[str, Any] = {"timeout_graceful_shutdown": GRACE_SECONDS, "server_header": False}
    if reload:
        address: dict[str, Any] = {"host": settings.host, "port": settings.port}
        uvicorn.run(
            "app.main:reloadable", factory=True, reload=True, reload_dirs=["app"], **address, **options
        )
        return
    # Bound before anything is opened: a second start must not take the database from the first.
    listening = _bound(settings.host, settings.port)
    app = create_app(settings)
    # Ctrl-C is how this is meant to end.
    with suppress(KeyboardInterrupt):
        ChatServer(app, uvicorn.Config(app, log_level="warning", **options)).run(sockets=[listening])


@main.command()
def settings() -> None:
    """Print every setting, with its default, as a Markdown table."""
    click.echo(settings_table())


def settings_table() -> str:
    """Every setting, as `docs/settings.md` has them."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, ()) else f"`{field.default}`"
        rows.append(f"| `{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


class ChatServer(uvicorn.Server):
    """Says where it listens, once it does, and ends running answers before it waits for their readers."""

    def __init__(self, app: FastAPI, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._app = app

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Start, then print the address."""
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            click.echo(f"fastapi-llm: http://{f'[{host}]' if ':' in host else host}:{port}", err=True)

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Interrupt what is being written: its readers are told so, and their responses end by themselves."""
        await self._app.state.chat.generations.close()
        await super().shutdown(sockets)


def _bound(host: str, port: int) -> socket:
    family = AF_INET6 if ":" in host else AF_INET
    listening = socket(family, SOCK_STREAM)
    listening.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        click.echo(f"Cannot listen on {host}, port {port}: {error.strerror}. PORT takes another.", err=True)
        sys.exit(2)
    return listening


def _settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        for problem in error.errors():
            name = ".".join(str(part) for part in problem["loc"]).upper()
            click.echo(
                ": ".join(filter(None, (name, problem["msg"].removeprefix("Value error, ")))), err=True
            )
        sys.exit(2)
