"""A proxy that understands HTTP: it knows which requests are open, and can be as bad as proxies are."""

import asyncio
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from e2e.server import Proxy


@dataclass(eq=False)
class Passing:
    """A request on its way through, on a connection of its own; names of headers are in lower case."""

    path: str
    headers: dict[str, str]
    open: bool = True
    lost: bool = field(default=False)
    """Whether neither side hears anything of the other any more, and neither knows."""


class HttpProxy(Proxy):
    """Passes each request on by itself.

    `without` names headers that it takes from requests; `idle_seconds` is how long a response may say
    nothing before both sides are cut off; with `buffers` a stream is handed on when it has ended;
    `instead` has bytes to be replaced in responses by others of the same length.
    """

    def __init__(
        self,
        port: int,
        *,
        without: Collection[str] = (),
        idle_seconds: float | None = None,
        buffers: bool = False,
        instead: Mapping[bytes, bytes] | None = None,
    ) -> None:
        super().__init__(port)
        self._without = {name.lower() for name in without}
        self._idle_seconds = idle_seconds
        self._buffers = buffers
        self._instead = instead or {}
        self._changed = threading.Condition()
        self._requests: list[Passing] = []

    def requests(self, part: str) -> list[Passing]:
        """The requests so far whose path has this in it."""
        with self._changed:
            return [request for request in self._requests if part in request.path]

    def open(self, part: str) -> list[Passing]:
        """Those of them that are still being answered."""
        return [request for request in self.requests(part) if request.open]

    def wait(self, condition: Callable[[], bool], what: str, seconds: float = 10) -> None:
        """Wait until something is so of the requests."""
        with self._changed:
            if not self._changed.wait_for(condition, seconds):
                raise AssertionError(f"waited {seconds} s in vain for {what}")

    def lose(self) -> None:
        """Lose every connection there is without a word to either side; new ones go through."""
        with self._changed:
            for request in self._requests:
                request.lost = True

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.transport.abort()
            return
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            there, back = await asyncio.open_connection("127.0.0.1", self._to)
        except (ConnectionError, asyncio.IncompleteReadError):
            writer.transport.abort()
            return
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        request = Passing(first.split(" ")[1], headers)
        self._writers |= {writer, back}
        self._note(request, is_open=True)
        kept = [
            line for line in lines if line.partition(":")[0].lower() not in self._without | {"connection"}
        ]
        back.write("\r\n".join([first, *kept, "Connection: close", "", ""]).encode("latin-1"))
        try:
            answering = asyncio.create_task(self._hand_on(there, writer, request, self._idle_seconds))
            asking = asyncio.create_task(self._hand_on(reader, back, request))
            await asyncio.wait([answering, asking], return_when=asyncio.FIRST_COMPLETED)
            if request.lost:  # Only that the client goes is noticed.
                await asking
        finally:
            self._note(request, is_open=False)
            # They stay among the writers: what was not taken to the end is dropped when the proxy ends.
            for one in (writer, back):
                one.close()
            await asyncio.wait([answering, asking])

    def _note(self, request: Passing, *, is_open: bool) -> None:
        with self._changed:
            if is_open:
                self._requests.append(request)
            request.open = is_open
            self._changed.notify_all()

    async def _hand_on(
        self,
        source: asyncio.StreamReader,
        to: asyncio.StreamWriter,
        request: Passing,
        idle_seconds: float | None = None,
    ) -> None:
        held = b""
        try:
            while data := await asyncio.wait_for(source.read(65536), idle_seconds):
                if request.lost:
                    continue
                if self._buffers and b"text/event-stream" in (held or data):
                    held += data
                    continue
                for old, new in self._instead.items():
                    data = data.replace(old, new)
                to.write(data)
                await to.drain()
            to.write(held)
        except (ConnectionError, TimeoutError):
            return
