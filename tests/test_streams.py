"""Streams of events: they end with their reader, with one who takes nothing, and with the server."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.types import Message

from app import streams
from app.events import event_stream
from app.streams import EventStream, Streams
from bench.processes import ROOT

OWN = """
import asyncio
from app.main import create_app

async def endless(messages):
    yield "Hello"
    await asyncio.Event().wait()

app = create_app(generate=endless)
"""


class Connection:
    """A stream that is sent to a scripted reader, and what came of it."""

    def __init__(self, method: str = "GET", *, takes: bool = True, ends: bool = False) -> None:
        self.app = FastAPI()
        self.app.state.streams = Streams()
        self.sent: list[Message] = []
        self.closed = asyncio.Event()
        self.leave = asyncio.Event()
        self.begun = asyncio.Event()
        self._takes = takes
        self._ends = ends
        self._scope = {"type": "http", "method": method, "app": self.app}

    async def run(self) -> None:
        """Send the stream, until it has ended."""
        async with asyncio.timeout(5):
            await event_stream(self._events())(self._scope, self._receive, self._send)

    async def _events(self) -> AsyncGenerator[ServerSentEvent, None]:
        try:
            yield ServerSentEvent("Hello", sep="\n")
            self.begun.set()
            if not self._ends:
                await asyncio.Event().wait()
        finally:
            self.closed.set()

    async def _receive(self) -> Message:
        await self.leave.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self.sent.append(message)
        body = message["type"] == "http.response.body"
        if body and not self._takes and not (self._ends and message["more_body"]):
            await asyncio.Event().wait()


async def test_a_stream_ends_with_its_reader() -> None:
    connection = Connection()
    running = asyncio.create_task(connection.run())
    await connection.begun.wait()

    connection.leave.set()
    await running

    assert connection.closed.is_set()
    assert [message.get("body") for message in connection.sent[1:]] == [b"data: Hello\n\n"]


async def test_who_takes_nothing_for_long_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.events.PING_SECONDS", 0.01)
    monkeypatch.setattr(streams, "SEND_SECONDS", 0.02)
    connection = Connection(takes=False)

    await connection.run()

    assert connection.closed.is_set()
    assert len(connection.sent) == 2


async def test_who_does_not_take_the_end_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.events.PING_SECONDS", 0.01)
    monkeypatch.setattr(streams, "SEND_SECONDS", 0.02)
    connection = Connection(takes=False, ends=True)

    await connection.run()

    assert [message.get("body") for message in connection.sent[1:]] == [b"data: Hello\n\n", b""]


@pytest.mark.parametrize("ends", [True, False])
async def test_a_stream_that_is_over_leaves_nothing_to_the_garbage_collector(ends: bool) -> None:
    connection = Connection(ends=ends)
    gc.collect()
    gc.disable()
    try:
        running = asyncio.create_task(connection.run())
        await connection.begun.wait()
        connection.leave.set()
        await running

        del running
        left = [one for one in gc.get_objects() if isinstance(one, EventStream)]
        assert left == []
    finally:
        gc.enable()


async def test_who_asks_for_the_head_gets_no_stream() -> None:
    connection = Connection("HEAD")

    await connection.run()

    start, body = connection.sent
    assert (b"content-type", b"text/event-stream; charset=utf-8") in start["headers"]
    assert not body["body"]
    assert not connection.begun.is_set()


async def test_a_stream_that_begins_when_all_have_ended_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def told_at_once() -> None:
        return

    monkeypatch.setattr(EventSourceResponse, "_listen_for_exit_signal", told_at_once)
    monkeypatch.setattr(streams, "FAREWELL_SECONDS", 0)
    connection = Connection()
    await connection.app.state.streams.watch()

    await connection.run()

    assert connection.closed.is_set()


def test_any_server_that_is_told_to_end_does_so_although_somebody_reads(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}",
        "DATABASE_URL": f"sqlite:///{tmp_path}/chat.db",
    }
    command = [sys.executable, "-m", "uvicorn", "own:app", "--port", "0"]
    with (
        subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as server,
        httpx2.Client(timeout=10, trust_env=False) as client,
    ):
        assert server.stderr
        running = next(line for line in server.stderr if "running on" in line)
        url = running.partition("running on ")[2].split()[0]
        with client.stream("POST", f"{url}/completion", data={"prompt": "Hi"}) as response:
            lines = response.iter_lines()
            assert [next(lines) for _ in range(2)] == ["id: 5", "data: Hello"]

            server.send_signal(signal.SIGTERM)
            try:
                server.wait(15)
            finally:
                server.kill()
