"""A reverse proxy as stands before several processes: each request goes to the first that is ready.

It passes everything on as it comes, and keeps no connection: what it proves is what a proxy must do, no more.
"""

import asyncio
import re
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from e2e.server import Server

AWAY = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Balancer:
    """Passes requests on to servers; the first that is ready gets them all."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self.servers = list(servers)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(5):
            raise AssertionError("the balancer did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)

    @property
    def url(self) -> str:
        """The address to use in the place of a server's."""
        return f"http://127.0.0.1:{self._port}"

    def prefer(self, server: Server) -> None:
        """Have this one asked first."""
        self.servers.sort(key=lambda one: one is not server)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        listening = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self._port = listening.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        listening.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, and its answer as it comes."""
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                request = await _request(reader)
                there, back = await self._living()
                back.write(request)
                copying = asyncio.create_task(_copy(there, writer))
                leaving = asyncio.create_task(reader.read())
                await asyncio.wait((copying, leaving), return_when=asyncio.FIRST_COMPLETED)
                copying.cancel()
                leaving.cancel()
                back.close()
        except LookupError:
            writer.write(AWAY)
        finally:
            writer.close()

    async def _living(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for server in self.servers:
            with suppress(OSError, asyncio.IncompleteReadError):
                if await _is_ready(server.port):
                    return await asyncio.open_connection("127.0.0.1", server.port)
        raise LookupError("no server is ready")


async def _is_ready(port: int) -> bool:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    try:
        return b" 200 " in await reader.readuntil(b"\r\n")
    finally:
        writer.close()


async def _request(reader: asyncio.StreamReader) -> bytes:
    """A whole request, that asks for its connection to be closed behind the answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    head = re.sub(rb"(?im)^connection:.*\r\n", b"", head).replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
    length = re.search(rb"(?im)^content-length: *(\d+)", head)
    return head + (await reader.readexactly(int(length[1])) if length else b"")


async def _copy(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await source.read(65536):
            to.write(data)
            await to.drain()
