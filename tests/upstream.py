"""A scripted server that speaks OpenAI's chat completions over real HTTP.

It runs in a thread of its own, so that synchronous and asynchronous tests use it alike:

    with Upstream() as upstream:
        upstream.will_say("One. ", PAUSE, "Two.")
        ...  # ask the server at upstream.url
        upstream.go_on()
"""

import asyncio
import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from types import TracebackType
from typing import Any, Self

from app.providers import Delta, Usage
from app.providers.scripted import PAUSE, Pause

__all__ = ["PAUSE", "Pause", "Request", "Upstream"]

EVENT_STREAM = "text/event-stream"


class End(Enum):
    """How a reply ends, where it does not just end."""

    HANG = auto()
    FIN = auto()
    RST = auto()


Piece = str | Delta | Pause | bytes | dict[str, Any]
Step = bytes | Pause | End


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent; names of headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass(slots=True)
class Reply:
    """The bytes to answer with, and what happens between them."""

    head: bytes
    steps: list[Step] = field(default_factory=list)
    chunked: bool = False


class Upstream:
    """Answers each chat request with the next reply that was queued, or else with an echo of the prompt."""

    def __init__(self) -> None:
        self.port = 0
        self.models = ["scripted"]
        self.requests: list[Request] = []
        self._replies: deque[Reply] = deque()
        self._hung_up = 0
        self._changed = threading.Condition()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(5):
            raise AssertionError("the upstream server did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)

    @property
    def url(self) -> str:
        """The base URL of its API."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def asked(self) -> list[Request]:
        """The chat requests so far."""
        return [request for request in self.requests if request.path.endswith("/chat/completions")]

    def will_say(
        self, *pieces: Piece, finish: str | None = "stop", usage: Usage | None = None, done: bool = True
    ) -> None:
        """Queue an answer. Text becomes a delta, a dict a whole event's JSON; bytes are sent as they are."""
        steps = _steps(pieces)
        if finish:
            steps.append(_event({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}))
        if usage:
            counts = {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}
            steps.append(_event({"choices": [], "usage": counts}))
        if done:
            steps.append(b"data: [DONE]\n\n")
        self._replies.append(Reply(_head(200, EVENT_STREAM, chunked=True), steps, chunked=True))

    def will_cut(self, *pieces: Piece, reset: bool = False) -> None:
        """Queue an answer that is cut after these pieces, by FIN or by RST."""
        end = End.RST if reset else End.FIN
        self._replies.append(
            Reply(_head(200, EVENT_STREAM, chunked=True), [*_steps(pieces), end], chunked=True)
        )

    def will_hang(self, *pieces: Piece) -> None:
        """Queue an answer that says no more after these pieces; without any, not even headers."""
        if pieces:
            head = _head(200, EVENT_STREAM, chunked=True)
            self._replies.append(Reply(head, [*_steps(pieces), End.HANG], chunked=True))
        else:
            self._replies.append(Reply(b"", [End.HANG]))

    def will_fail(self, status: int, body: str | dict[str, Any] = "", **headers: str) -> None:
        """Queue an error: HTML for a text, JSON for a dict. `retry_after="2"` sends `Retry-After: 2`."""
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        kind = "text/html" if isinstance(body, str) else "application/json"
        self._replies.append(Reply(_head(status, kind, headers=headers), [content] if content else []))

    def will_send_raw(self, *steps: bytes | Pause, content_type: str = EVENT_STREAM, **headers: str) -> None:
        """Queue these bytes as the body of a reply 200 that ends with the connection, one write each."""
        self._replies.append(Reply(_head(200, content_type, headers=headers), list(steps)))

    def go_on(self) -> None:
        """Release one `PAUSE`, reached or yet to be reached."""
        self._loop.call_soon_threadsafe(self._gate.release)

    def wait_asked(self, count: int = 1, seconds: float = 5) -> None:
        """Wait until there were that many chat requests."""
        self._wait(lambda: len(self.asked) >= count, f"{count} requests", seconds)

    def wait_closed(self, count: int = 1, seconds: float = 5) -> None:
        """Wait until that many clients went away before their answer was complete."""
        self._wait(lambda: self._hung_up >= count, f"{count} clients to go away", seconds)

    def _wait(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        with self._changed:
            if not self._changed.wait_for(condition, seconds):
                raise AssertionError(f"waited {seconds} s in vain for {what}")

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._gate = asyncio.Semaphore(0)
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: one request, one reply."""
        answering: asyncio.Task[None] | None = None
        try:
            request = await _read_request(reader)
            reply = self._reply_to(request)
            with self._changed:
                self.requests.append(request)
                self._changed.notify_all()
            answering = asyncio.create_task(self._send(reply, writer))
            leaving = asyncio.create_task(_left(reader))
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
            leaving.cancel()
            if not answering.done() or answering.exception():
                with self._changed:
                    self._hung_up += 1
                    self._changed.notify_all()
        except (ConnectionError, asyncio.IncompleteReadError):
            # It went away before it asked for anything, or speaks another language.
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        finally:
            if answering:
                answering.cancel()
            writer.close()

    def _reply_to(self, request: Request) -> Reply:
        if request.path.endswith("/models"):
            models = [{"id": name, "object": "model"} for name in self.models]
            return Reply(_head(200, "application/json"), [json.dumps({"data": models}).encode()])
        if not self._replies:
            prompt = request.body["messages"][-1]["content"]
            self.will_say("You said: ", prompt, usage=Usage(len(prompt.split()), 2))
        return self._replies.popleft()

    async def _send(self, reply: Reply, writer: asyncio.StreamWriter) -> None:
        writer.write(reply.head)
        for step in reply.steps:
            match step:
                case bytes():
                    writer.write(b"%x\r\n%b\r\n" % (len(step), step) if reply.chunked else step)
                    await writer.drain()
                    # Lets a client in another thread read before the next piece is written.
                    await asyncio.sleep(0)
                case Pause(None):
                    await self._gate.acquire()
                case Pause(seconds) if seconds is not None:
                    await asyncio.sleep(seconds)
                case End.HANG:
                    await asyncio.Event().wait()
                case End.FIN:
                    return
                case End.RST:
                    # Closing a socket that must not linger resets it.
                    linger = struct.pack("ii", 1, 0)
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    writer.transport.abort()
                    return
        if reply.chunked:
            writer.write(b"0\r\n\r\n")
        await writer.drain()


async def _read_request(reader: asyncio.StreamReader) -> Request:
    start = await reader.readexactly(1)
    if not start.isalpha():
        raise ConnectionError("this is not HTTP")  # A TLS handshake begins with byte 22.
    head = (start + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path, headers, json.loads(body) if body else None)


async def _left(reader: asyncio.StreamReader) -> None:
    """Return once the client has closed its connection."""
    with suppress(ConnectionError):
        await reader.read()


def _head(
    status: int, content_type: str, *, headers: Mapping[str, str] | None = None, chunked: bool = False
) -> bytes:
    lines = [f"HTTP/1.1 {status} Scripted"]
    lines += [f"Content-Type: {content_type}", "Connection: close"]
    lines += ["Transfer-Encoding: chunked"] * chunked
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode()


def _steps(pieces: Iterable[Piece]) -> list[Step]:
    steps: list[Step] = [_delta({"role": "assistant", "content": None})]
    for piece in pieces:
        match piece:
            case str():
                steps.append(_delta({"content": piece}))
            case Delta():
                fields = {"content": piece.text, "reasoning_content": piece.reasoning}
                steps.append(_delta({name: text for name, text in fields.items() if text}))
            case dict():
                steps.append(_event(piece))
            case _:
                steps.append(piece)
    return steps


def _delta(fields: dict[str, Any]) -> bytes:
    return _event({"choices": [{"index": 0, "delta": fields, "finish_reason": None}]})


def _event(document: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(document)}\n\n".encode()
