"""Connections: how long a client may take over its requests and our answers, and how much it may pile up.

uvicorn waits for ever, and keeps heads of any length in memory. A proxy in front has such limits of its own.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_BYTES = 64 * 1024
MOST_WAITING = 20
"""Requests that are sent before their forerunners were answered; no browser does that."""


class Connection(HttpToolsProtocol):
    """A connection that is closed where its client does not come to an end."""

    head_seconds = 20.0
    """How long the head of a request may take, the first from when the connection is there."""
    body_seconds = 120.0
    """How long its body may take: two megabytes at 17 kB a second."""
    stalled_seconds = 40.0
    """How long a client may take nothing of what waits for it; a stream gives up by itself before."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._unread = 0
        self._cycles: list[RequestResponseCycle] = []

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._wait_at_most(self.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._wait_at_most(None)
        self.resume_writing()
        super().connection_lost(exc)
        # uvicorn tells the newest request only; those before it would go on for a reader who is gone.
        for cycle in self._cycles:
            cycle.disconnected = True
            cycle.message_event.set()

    def data_received(self, data: bytes) -> None:
        """Read on, unless what has come makes neither a head nor a part of a body yet, and is too much."""
        if self._deadline is None and (self.cycle is None or self.cycle.response_complete):
            # The first of another request: uvicorn's own limit on silence between two ends here.
            self._wait_at_most(self.head_seconds)
        self._unread += len(data)
        super().data_received(data)
        if self._unread > HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The head of this request is too long.")

    def on_message_begin(self) -> None:
        """Take another request, unless many wait for their answers already."""
        if len(self.pipeline) >= MOST_WAITING:
            raise ValueError("too many requests at once")
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin to wait for the body."""
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > HEAD_BYTES:
            raise ValueError("the head of this request is too long")
        self._unread = 0
        self._wait_at_most(self.body_seconds)
        super().on_headers_complete()
        self._cycles = [one for one in (*self._cycles, self.cycle) if one and not one.response_complete]

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait for nothing any more: the answer may take its time, unless it was there before this end."""
        self._unread = 0
        answered = self.cycle is not None and self.cycle.response_complete
        self._wait_at_most(self.head_seconds if answered else None)
        super().on_message_complete()

    def pause_writing(self) -> None:
        """Begin to watch whether the client takes anything."""
        super().pause_writing()
        self._watch(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """It has taken nearly all."""
        super().resume_writing()
        if self._stalled:
            self._stalled.cancel()
            self._stalled = None

    def _watch(self, left: int) -> None:
        self._stalled = self.loop.call_later(self.stalled_seconds, self._look_whether_less_than, left)

    def _look_whether_less_than(self, before: int) -> None:
        left = self.transport.get_write_buffer_size()
        if left < before:
            self._watch(left)
        else:
            self.transport.abort()

    def _wait_at_most(self, seconds: float | None) -> None:
        if self._deadline:
            self._deadline.cancel()
        # What waits to be sent would keep a connection that is only closed.
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self.transport.abort)
