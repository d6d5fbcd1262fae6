"""Streams: server-sent events as a response that costs little for each event, and for each silent reader.

sse-starlette writes the head. Its own four tasks a stream and its lock and timeout an event took a quarter of
what a token costs; here there is the request's task, one that waits for the reader to go, and a timer.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager, suppress
from time import monotonic

from anyio import CancelScope
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.types import Receive, Scope, Send

SEND_SECONDS = 30
"""How long a reader may take nothing before it is let go, as far as that is looked at; it can come back."""

FAREWELL_SECONDS = 1
"""How long a stream has for its last events when the server is being stopped."""

Events = AsyncGenerator[ServerSentEvent, None]


class Streams:
    """The streams that are open in an application."""

    def __init__(self) -> None:
        self._open: set[CancelScope] = set()
        self._ended = False

    @contextmanager
    def opened(self) -> Iterator[CancelScope]:
        """A stream while the block runs, which what is handed out can cut short."""
        with CancelScope() as stream:
            self._open.add(stream)
            if self._ended:
                stream.cancel()
            try:
                yield stream
            finally:
                self._open.discard(stream)

    async def watch(self) -> None:
        """End all streams once the server is told to end, which waits for them: one task for all of them."""
        await EventSourceResponse._listen_for_exit_signal()
        await asyncio.sleep(FAREWELL_SECONDS)
        self._ended = True
        for stream in list(self._open):
            stream.cancel()


class EventStream(EventSourceResponse):
    """Events as they come, each sent in the task that waits for the next.

    Every `seconds` it says that it is alive, by `alive`, which with `at_once` is the first event too.
    """

    def __init__(
        self, events: Events, *, alive: bytes, at_once: bool, seconds: float, headers: dict[str, str]
    ) -> None:
        # LF, since htmx takes a CR and an LF that the network parted for two line ends.
        super().__init__(events, sep="\n", headers=headers)
        self._events = events
        self._alive = alive
        self._at_once = at_once
        self._seconds = seconds
        self._sending_since: float | None = None
        self._pinging: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all events, unless the reader goes, takes nothing for long, or the server is to end."""
        if scope["method"] == "HEAD":
            await super().__call__(scope, receive, send)
            return
        streams: Streams = scope["app"].state.streams
        # Closed outside of what may be cancelled, so that it can end in peace.
        async with aclosing(self._events) as events:
            with streams.opened() as stream:
                gone = asyncio.create_task(_gone(receive), name="reader's leave")
                gone.add_done_callback(lambda _: stream.cancel())
                self._look_later(send, stream)
                try:
                    await self._send_all(events, send)
                finally:
                    gone.cancel()
                    self._say_no_more()

    async def _send_all(self, events: Events, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        if self._at_once:
            await self._send_one(send, self._alive)
        async for event in events:
            await self._send_one(send, event.encode())
        if self._pinging:
            self._pinging.cancel()
        await self._send_one(send, b"", more=False)

    async def _send_one(self, send: Send, event: bytes, *, more: bool = True) -> None:
        self._sending_since = monotonic()
        await send({"type": "http.response.body", "body": event, "more_body": more})
        self._sending_since = None

    async def _ping(self, send: Send) -> None:
        with suppress(OSError):  # the reader has gone, which `_gone` is told of
            await self._send_one(send, self._alive)

    def _say_no_more(self) -> None:
        self._looking.cancel()
        if self._pinging:
            self._pinging.cancel()

    def _look_later(self, send: Send, stream: CancelScope) -> None:
        loop = asyncio.get_running_loop()
        self._looking = loop.call_later(self._seconds, self._look, send, stream)

    def _look(self, send: Send, stream: CancelScope) -> None:
        """Say that the stream is alive; who has not taken the last event for long is let go."""
        if self._sending_since is None:
            self._pinging = asyncio.create_task(self._ping(send), name="ping")
        elif monotonic() - self._sending_since > SEND_SECONDS:
            stream.cancel()
        self._look_later(send, stream)


async def _gone(receive: Receive) -> None:
    """Wait until the reader has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
