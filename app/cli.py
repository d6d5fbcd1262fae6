"""The command line."""

import sys
from socket import AF_INET, AF_INET6, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET, socket
from typing import Any

import click
import uvicorn
from pydantic import ValidationError

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
    options: dict[str, Any] = {
        "factory": True,
        "host": settings.host,
        "port": settings.port,
        "timeout_graceful_shutdown": GRACE_SECONDS,
        "server_header": False,
    }
    if reload:
        uvicorn.run("app.main:reloadable", reload=True, reload_dirs=["app"], **options)
    else:
        config = uvicorn.Config("app.main:create_app", log_level="warning", **options)
        # Bound before anything is opened: a second start must not take the database from the first.
        AnnouncedServer(config).run(sockets=[_bound(settings.host, settings.port)])


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


class AnnouncedServer(uvicorn.Server):
    """Says where it listens, once it does."""

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Start, then print the address."""
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            click.echo(f"fastapi-llm: http://{f'[{host}]' if ':' in host else host}:{port}", err=True)


def _bound(host: str, port: int) -> socket:
    family = AF_INET6 if ":" in host else AF_INET
    listening = socket(family, SOCK_STREAM)
    listening.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
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
