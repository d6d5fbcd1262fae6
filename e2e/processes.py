"""Several processes over one database: how they are started, asked, and looked into."""

import asyncio
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from time import monotonic
from typing import Any, Self

import asyncpg
import httpx2

from e2e.server import Server
from tests.upstream import Upstream


class Pair:
    """Two servers, A and B, over one database that has its tables."""

    def __init__(self, folder: Path, database_url: str, upstream: Upstream, **settings: str) -> None:
        self.upstream = upstream
        self.database_url = database_url
        every = {"database_url": database_url, "openai_base_url": upstream.url, "model": "scripted"}
        self.servers = [Server(folder, **every, **settings) for _ in range(2)]
        self.a, self.b = self.servers
        self._left = 0
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        for server in self.servers:
            self._closing.enter_context(server)
        self.at_a, self.at_b = (self._closing.enter_context(client(server)) for server in self.servers)
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def expect_left(self, seconds: float) -> None:
        """Wait until one more request to the model was let go of before its end."""
        self._left += 1
        self.upstream.wait_closed(self._left, seconds)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What the database says."""
        return rows(self.database_url, statement)


class Reading:
    """An answer as a program reads it; that of a prompt which it sends, or of one by its address."""

    def __init__(self, api: httpx2.Client, method: str, path: str, **fields: str) -> None:
        self._response = api.send(api.build_request(method, path, data=fields or None), stream=True)
        assert self._response.status_code == 200, self._response.read()
        headers = self._response.headers
        self.path = headers.get("Content-Location", path)
        self.message = int(self.path.rpartition("/")[2])
        self.conversation = headers.get("X-Conversation-Id", "")
        self.text = ""
        self.ended = ""
        self.error = ""
        self._events = self._read()

    def until(self, text: str) -> float:
        """Read until this is what there is; the seconds that it took."""
        began = monotonic()
        while self.text != text:
            assert text.startswith(self.text), f"{self.text!r} is not the beginning of {text!r}"
            next(self._events)
        return monotonic() - began

    def end(self) -> str:
        """Read to the end; how it ended."""
        for _ in self._events:
            continue
        return self.ended

    def _read(self) -> Iterator[None]:
        kind = ""
        with closing(self._response):
            for line in self._response.iter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data" and kind == "done":
                    self.ended = value
                elif name == "data" and kind == "error":
                    self.error = value
                elif name == "data":
                    self.text += value
                    yield
                elif not line:
                    kind = ""


def client(server: Server, **options: Any) -> httpx2.Client:
    """A program that uses a server."""
    return httpx2.Client(base_url=server.url, trust_env=False, timeout=20, **options)


def ask(api: httpx2.Client, prompt: str, **fields: str) -> Reading:
    """Send a prompt, and read what comes."""
    return Reading(api, "POST", "/completion", prompt=prompt, **fields)


def read(api: httpx2.Client, path: str) -> Reading:
    """Read an answer from its beginning."""
    return Reading(api, "GET", path)


def text_of(api: httpx2.Client, answer: Reading) -> str:
    """An answer's text, as it is stored."""
    return api.get(f"/messages/{answer.message}/text").text


def wait_ready(api: httpx2.Client, *, ready: bool = True) -> str:
    """Ask until a server is ready, or is not; what it says then. A test's own time limit ends this."""
    while (answer := api.get("/readyz")).is_success != ready:
        continue
    return answer.text


def rows(database_url: str, statement: str) -> list[tuple[Any, ...]]:
    """What a database says to a statement."""
    if database_url.startswith("sqlite"):
        with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"))) as connection:
            return connection.execute(statement).fetchall()

    async def fetch() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(database_url)
        try:
            return [tuple(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    # In a thread of its own: the browser's event loop stays on in the test's.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, fetch()).result()
