"""Clients that do not come to an end: they are let go, and nobody else notices."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import ClassVar

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI

from app.connections import Connection
from app.providers.scripted import PAUSE, ScriptedProvider

HEAD = b"POST /draft HTTP/1.1\r\nHost: localhost\r\n"
FORM = b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 9\r\n\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Impatient(Connection):
    """As the real one, in a hurry; it says when it is over."""

    head_seconds = body_seconds = stalled_seconds = 0.3
    over: ClassVar[asyncio.Queue[None]]

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.over.put_nowait(None)


@pytest.fixture
def listening() -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    listening.bind(("127.0.0.1", 0))
    return listening


@pytest.fixture
def port(listening: socket.socket, server: uvicorn.Server) -> int:
    found: int = listening.getsockname()[1]
    return found


@pytest.fixture
async def server(app: FastAPI, listening: socket.socket) -> AsyncIterator[uvicorn.Server]:
    Impatient.over = asyncio.Queue()
    with listening:
        listening.listen()
        config = uvicorn.Config(app, http=Impatient, log_level="error", timeout_graceful_shutdown=2)
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve(sockets=[listening]))
        yield server
        server.should_exit = True
        await running


async def said_until_closed(port: int, *parts: bytes) -> bytes:
    """What the server says to these bytes before it closes the connection, which it must."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    said = b""
    with suppress(ConnectionResetError):
        async with asyncio.timeout(5):
            for part in parts:
                writer.write(part)
            while more := await reader.read(65536):
                said += more
    writer.close()
    return said


@pytest.mark.parametrize(
    "request_",
    [
        b"",
        b"\r\n",
        HEAD + b"X-Slow: ",
        HEAD + FORM + b"prompt=",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
        HEAD + b"Content-Length: 99999999\r\n\r\n",
        HEAD + b"Content-Length: 9999999\r\n\r\n" + b"x" * 1000,
    ],
)
async def test_who_never_ends_a_request_is_let_go(port: int, request_: bytes) -> None:
    await said_until_closed(port, request_)


@pytest.mark.parametrize(
    ("request_", "last", "more"),
    [
        (GET, b"ok\n", b"\r\n"),
        (GET, b"ok\n", b"GET /heal"),
        # Refused before it has come to its end, which it then does.
        (HEAD + b"Content-Length: 2000001\r\n\r\n", b"}", b"x" * 2_000_001),
    ],
)
async def test_who_was_answered_and_says_something_more_is_let_go(
    port: int, request_: bytes, last: bytes, more: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request_)
    await reader.readuntil(last)

    async with asyncio.timeout(5):
        writer.write(more)
        rest = await reader.read()

    writer.close()
    assert rest == b""


@pytest.mark.parametrize(
    "parts",
    [
        (HEAD + b"X-Long: ", *[b"x" * 10_000] * 50),
        (HEAD, *[b"X-Many: x\r\n" * 1000] * 50),
        (HEAD + b"X-Whole: " + b"x" * 70_000 + b"\r\n" + FORM + b"prompt=Hi",),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", *[b"X-Trailer: x\r\n" * 1000] * 50),
        (GET * 1000,),
    ],
)
async def test_who_says_too_much_is_let_go_before_it_is_kept(port: int, parts: tuple[bytes, ...]) -> None:
    said = await said_until_closed(port, *parts)

    assert said.count(b"HTTP/1.1 200") < 100
    assert b"HTTP/1.1 204" not in said


async def test_an_answer_may_take_longer_than_a_request(port: int, provider: ScriptedProvider) -> None:
    provider.will_say("Hm. ", PAUSE, "Yes.")
    async with (
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
        client.stream("POST", "/completion", data={"prompt": "Hi"}) as response,
    ):
        pieces = response.aiter_text()
        said = await anext(pieces)
        # Another, who has as much patience, is let go meanwhile.
        await said_until_closed(port, HEAD)
        provider.go_on()
        async for piece in pieces:
            said += piece

    assert said.endswith("event: done\ndata: complete\n\n")


async def test_who_asks_for_something_more_behind_a_stream_and_goes_is_missed_by_both(
    server: uvicorn.Server, port: int, provider: ScriptedProvider
) -> None:
    provider.will_say("Hm. ", PAUSE)
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        await client.post("/completion", data={"prompt": "Hi"}, headers={"HX-Request": "true"})
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /completion/2 HTTP/1.1\r\nHost: localhost\r\n\r\n" + GET)
    await reader.readuntil(b"Hm. \n\n")
    streaming = server.server_state.tasks.copy()

    writer.close()

    async with asyncio.timeout(5):
        await asyncio.wait(streaming)
    provider.go_on()


async def test_who_asks_for_a_page_and_takes_nothing_of_it_is_let_go(
    port: int, provider: ScriptedProvider
) -> None:
    provider.will_say("word " * 100_000)
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        await client.post("/completion", data={"prompt": "Hi"})
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, ("127.0.0.1", port))
        await loop.sock_sendall(connection, b"GET /conversations/1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(5):
            await Impatient.over.get()  # the other's
            await Impatient.over.get()
        taken = 0
        # What comes now is what the system had, and no more.
        with suppress(ConnectionResetError):
            while more := await loop.sock_recv(connection, 65536):
                taken += len(more)

    assert taken < 400_000
