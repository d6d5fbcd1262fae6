"""The command line: what it prints and refuses."""

import logging
import signal
from collections.abc import Iterator
from pathlib import Path
from socket import socket
from typing import Any

import pytest
import uvicorn
from click.testing import CliRunner
from uvicorn.supervisors.watchfilesreload import FileFilter

from app import cli
from app.cli import ChatServer, main
from app.logs import OURS
from app.main import create_app
from app.providers.scripted import ScriptedProvider
from app.settings import Settings

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """A command sets up the log of its process, which here is the tests'."""
    loggers = [logging.getLogger(name) for name in (None, *OURS)]
    before = [(logger, logger.handlers[:], logger.level) for logger in loggers]
    yield
    logging.captureWarnings(False)
    for logger, handlers, level in before:
        logger.handlers = handlers
        logger.setLevel(level)


def test_help_names_the_commands() -> None:
    said = CliRunner().invoke(main, ["--help"]).output

    assert "serve" in said
    assert "settings" in said
    assert "..." not in said.partition("Commands:")[2], "a line is cut off"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("HOST", "0.0.0.0", "refusing to listen on 0.0.0.0"),
        ("OPENAI_BASE_URL", "127.0.0.1:11434/v1", "OPENAI_BASE_URL: this is no address"),
        ("PORT", "lots", "PORT: Input should be a valid integer"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL: Input should be 'debug', 'info', 'warning' or 'error'"),
        (
            "DATABASE_URL",
            "mysql://x",
            "DATABASE_URL: this is neither sqlite:///path/to/file nor postgresql://",
        ),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_in_one_line(
    name: str, value: str, sentence: str, tmp_path: Path
) -> None:
    result = CliRunner().invoke(main, ["serve"], env={name: value})

    assert result.exit_code == 2
    assert sentence in result.output
    assert "Traceback" not in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_a_host_that_is_not_this_machines_is_to_be_changed_and_not_the_port() -> None:
    environment = {"HOST": "192.0.2.1", "OPEN_TO_NETWORK": "true", "PORT": "0"}

    result = CliRunner().invoke(main, ["serve"], env=environment)

    assert result.exit_code == 2
    assert "HOST takes another" in result.output


@pytest.mark.fault(39)
def test_a_server_that_cannot_be_reached_is_named_to_whoever_migrates() -> None:
    with socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        environment = {"DATABASE_URL": f"postgresql://chat:secret@{place}/chat"}

        result = CliRunner().invoke(main, ["migrate"], env=environment)

    assert result.exit_code == 2
    assert f"cannot be reached. Please try again in a moment. ({place}: [Errno" in result.output
    assert "secret" not in result.output
    assert len(result.output.splitlines()) == 1


def test_a_port_that_is_taken_is_named_before_anything_is_opened(tmp_path: Path) -> None:
    with socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        environment = {"PORT": port, "DATABASE_URL": f"sqlite:///{tmp_path}/chat.db"}

        result = CliRunner().invoke(main, ["serve"], env=environment)

    assert result.exit_code == 2
    assert f"port {port}" in result.output
    assert not (tmp_path / "chat.db").exists()


async def test_who_presses_ctrl_c_twice_has_everything_closed_all_the_same(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []

    class Closing(ScriptedProvider):
        async def close(self) -> None:
            closed.append(self)

    monkeypatch.setattr(
        cli, "_look_for_garbage_less", lambda: None
    )  # it is for the whole process, the tests'
    provider = Closing()
    app = create_app(settings, provider=provider)
    server = ChatServer(app, uvicorn.Config(app, log_config=None), grace_seconds=7)
    for _ in range(2):
        server.handle_exit(signal.SIGINT, None)
    with socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        await server.serve(sockets=[listening])

    assert closed == [provider]


def test_who_edits_the_style_sees_it_at_the_next_reload(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(uvicorn, "run", lambda *_, **options: asked.update(options))
    monkeypatch.chdir(ROOT)

    CliRunner().invoke(main, ["serve", "--reload"], catch_exceptions=False)

    config = uvicorn.Config("app.main:reloadable", **asked)
    watched = FileFilter(config)
    assert ROOT / "static" in config.reload_dirs
    assert watched(ROOT / "static" / "css" / "10-tokens.css")
    assert watched(ROOT / "app" / "main.py")


def test_a_worker_that_is_left_nothing_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(settings: Settings) -> None:
        """It would wait for answers."""

    monkeypatch.setattr(cli, "_work", work)
    environment = {"DATABASE_URL": f"sqlite:///{tmp_path}/chat.db"}

    result = CliRunner().invoke(main, ["worker"], env=environment)

    assert "Set GENERATE_IN=worker for all of them." in result.output


@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_what_of_the_settings_was_hardly_meant_is_told_once(command: str, tmp_path: Path) -> None:
    (tmp_path / "none.env").write_text("MODLE=x\nno name\n")
    with socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        environment = {"PORT": port, "DATABASE_URL": f"sqlite:///{tmp_path}/chat.db"}

        result = CliRunner().invoke(main, [command], env=environment)

    assert result.output.count("Is it MODEL that you mean?") == 1
    assert result.output.count("line 2") == 1


def test_a_file_of_settings_that_is_not_utf_8_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "none.env").write_bytes("SYSTEM_PROMPT=Grüße\n".encode("latin-1"))

    result = CliRunner().invoke(main, ["migrate"])

    assert result.exit_code == 2
    assert result.output == f"{tmp_path}/none.env: this file is not written in UTF-8.\n"
