"""Clients that read or write slowly or not at all, one or many: they cost little, and hold up nobody."""

import asyncio
import re
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from app.providers.scripted import PAUSE, ScriptedProvider
from e2e.server import Server
from tests.upstream import Upstream

SMALL = 32 * 1024
"""Bytes that the system keeps of what was sent but not read, in either direction, before it doubles them."""


@pytest.mark.fault(46)
@pytest.mark.parametrize("address", ["/completion/2", "/completion/2/fragments"])
async def test_who_reads_nothing_is_kept_little_and_holds_up_nobody(
    app: FastAPI, provider: ScriptedProvider, address: str
) -> None:
    pieces = [f"{number:>5} " + "and so on " * 1_000 + "\n\n" for number in range(60)]
    provider.will_say(*(step for piece in pieces for step in (piece, PAUSE)))
    counting = Counting(app)
    async with serving_with_small_buffers(counting) as port:
        url = f"http://127.0.0.1:{port}"
        async with httpx2.AsyncClient(base_url=url, timeout=10, trust_env=False) as client:
            await client.post("/completion", data={"prompt": "Hi"}, headers={"HX-Request": "true"})
            slow = await hardly_reading(port, address)
            async with client.stream("GET", address) as response:
                provider.go_on()
                fast = 0
                async for line in response.aiter_lines():
                    if line.startswith("id: "):
                        fast += 1
                        provider.go_on()

            assert counting.sent["fast"] > 600_000
            assert counting.sent["slow"] <= 256 * 1024 + 2 * SMALL
            said = await rest_of(slow)

    body = re.sub(rb"\r\n[0-9a-f]+\r\n", b"", said).decode().strip()
    assert body.endswith("event: done\ndata: complete")
    ids = re.findall(r"^id: (.+)$", body, re.MULTILINE)
    assert len(ids) < 0.8 * fast
    if address == "/completion/2":
        read = [event.partition("data: ")[2] for event in body.split("\n\n") if "id: " in event]
        assert "".join(read).replace("\ndata: ", "\n") == "".join(pieces)


@pytest.mark.fault(47)
async def test_two_hundred_readers_of_silent_answers_keep_nobody_waiting_and_get_the_whole(
    client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    for _ in range(20):
        provider.will_say("Hm. ", PAUSE, "Yes.")
        await client.post("/completion", data={"prompt": "Hi"}, headers={"HX-Request": "true"})
    port = client.base_url.port
    assert port
    readers = [await reading(port, 2 * number + 2) for number in range(20) for _ in range(10)]
    provider.will_say("Not silent.")
    async with asyncio.timeout(5):
        other = await client.post("/completion", data={"prompt": "Hi"})
    assert "Not silent." in other.text

    for _ in range(20):
        provider.go_on()
    async with asyncio.timeout(20):
        said = await asyncio.gather(*(reader.read() for reader, _ in readers))

    for _, writer in readers:
        writer.close()
    assert [one.count(b"data: Yes.\n\n") for one in said] == [1] * 200
    assert [one.count(b"event: done\ndata: complete\n\n") for one in said] == [1] * 200


@pytest.mark.fault(48)
async def test_five_hundred_who_never_come_to_an_end_keep_nobody_out(tmp_path: Path) -> None:
    head = b"POST /completion HTTP/1.1\r\nHost: localhost\r\n"
    form = b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nprompt="
    with Upstream() as upstream, Server(tmp_path, openai_base_url=upstream.url, model="scripted") as server:
        writers = []
        for number in range(500):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(head + (form if number % 2 else b"X-Slow: "))
            writers.append(writer)

        async with httpx2.AsyncClient(base_url=server.url, timeout=10, trust_env=False) as client:
            said = await asyncio.gather(
                *(client.post("/completion", data={"prompt": f"{number}"}) for number in range(20))
            )

        for writer in writers:
            writer.close()
    assert all(response.text.endswith("event: done\ndata: complete\n\n") for response in said)


async def reading(port: int, message_id: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that reads the text of an answer, once it has the first of it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = f"GET /completion/{message_id} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    writer.write(request.encode())
    await reader.readuntil(b"Hm. \n\n")
    return reader, writer


class Counting:
    """The application, and how many bytes it has sent to whom, by a header of the request."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self.sent: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            await send(message)
            self.sent[who] += len(message.get("body", b""))

        who = dict(scope.get("headers", [])).get(b"x-who", b"fast").decode()
        await self._app(scope, receive, counted)


@asynccontextmanager
async def serving_with_small_buffers(app: Counting) -> AsyncIterator[int]:
    """A server on a free port whose system keeps little for those who do not read."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=2))
        listening.listen()
        # Connections wait in the queue until it takes them.
        running = asyncio.create_task(server.serve(sockets=[listening]))
        yield listening.getsockname()[1]
        server.should_exit = True
        await running


async def hardly_reading(port: int, address: str) -> socket.socket:
    """A connection that asked for something, and reads nothing."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
    connection.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, ("127.0.0.1", port))
    request = f"GET {address} HTTP/1.1\r\nHost: localhost\r\nX-Who: slow\r\n\r\n"
    await loop.sock_sendall(connection, request.encode())
    return connection


async def rest_of(connection: socket.socket) -> bytes:
    """All that is still to be read of a response."""
    said = b""
    loop = asyncio.get_running_loop()
    with connection:
        async with asyncio.timeout(20):
            while not said.endswith(b"\r\n0\r\n\r\n"):
                said += await loop.sock_recv(connection, 65536)
    return said
