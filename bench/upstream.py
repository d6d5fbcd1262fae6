"""A scripted model behind OpenAI's chat completions that costs next to nothing: `python -m bench.upstream`.

Its bytes are made beforehand, and it writes each answer's tokens at times that do not drift. It notes when
it wrote what, by a clock that all processes of a machine share: so nothing need travel in the tokens.
An answer goes by the last message of its request. `Upstream` is the handle of such a process.
"""

import asyncio
import json
import sys
from dataclasses import asdict, dataclass, field
from time import monotonic
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode, urlsplit
from urllib.request import urlopen

import uvloop

from bench.processes import Child, allow_connections
from bench.text import TOKENS, starts, tokens

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n"
LIMIT_SECONDS = 30


@dataclass(slots=True)
class Script:
    """What the answers are like from now on."""

    rate: float = 20
    """Tokens a second."""
    delay: float = 0
    """Seconds before the first token."""
    count: int = 1_000_000
    """Tokens of an answer, unless it is ended before."""
    hold: int = 0
    """After so many tokens an answer says nothing more, and does not end; 0 for never."""
    gate: int = 0
    """Whether answers wait for `go` before their first token; their tokens then come evenly spread."""
    together: int = 0
    """Whether all answers begin with the beginning of the text, and not each with another block."""


@dataclass(slots=True)
class Record:
    """What became of one answer: when it was asked for, when each token was written, when its reader left."""

    asked: float
    start: int = 0
    sent: list[float] = field(default_factory=list)
    closed: float | None = None


class Upstream(Child):
    """Such a process."""

    def __init__(self) -> None:
        super().__init__("bench.upstream")

    @property
    def api(self) -> str:
        """The base URL of its API."""
        return f"{self.url}/v1"

    def say(self, **script: float) -> None:
        """Set how all later answers are; what is not named is as `Script` has it."""
        say(self.port, **script)

    def records(self) -> dict[str, Record]:
        """What became of the answers since it was last asked, by their prompts."""
        return records(self.port)


def say(port: int, **script: float) -> None:
    """Set how all later answers of an upstream at a port are; what is not named is as `Script` has it."""
    _get(f"http://127.0.0.1:{port}/script?{urlencode(script)}")


def waiting(port: int) -> int:
    """How many answers wait at its gate."""
    return int(_get(f"http://127.0.0.1:{port}/waiting"))


def go(port: int) -> None:
    """Open its gate."""
    _get(f"http://127.0.0.1:{port}/go")


def end(port: int) -> None:
    """Have it end all its answers."""
    _get(f"http://127.0.0.1:{port}/end")


def records(port: int) -> dict[str, Record]:
    """What an upstream at a port tells of its answers, once."""
    return {prompt: Record(**record) for prompt, record in _get(f"http://127.0.0.1:{port}/records").items()}


def _get(url: str) -> Any:
    with urlopen(url, timeout=LIMIT_SECONDS) as response:  # noqa: S310 - our own, on loopback
        return json.load(response)


def _chunk(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


def _event(delta: dict[str, str], finish: str | None = None) -> bytes:
    """As OpenAI's own server writes it."""
    document = {
        "id": "chatcmpl-BenchBenchBenchBenchBenchBench",
        "object": "chat.completion.chunk",
        "created": 1_780_000_000,
        "model": "scripted",
        "system_fingerprint": "fp_0123456789",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
    }
    return f"data: {json.dumps(document, separators=(',', ':'))}\n\n".encode()


class Bytes:
    """All that is ever sent, ready: in chunks, or to those who speak HTTP/1.0 as it is."""

    def __init__(self, *, chunked: bool) -> None:
        framed = _chunk if chunked else bytes
        coding = b"Transfer-Encoding: chunked\r\n" * chunked
        self.first = HEAD + coding + b"\r\n" + framed(_event({"role": "assistant", "content": ""}))
        self.tokens = {
            start: [framed(_event({"content": token})) for token in tokens(TOKENS, start)] for start in STARTS
        }
        end = framed(_event({}, "stop")) + framed(b"data: [DONE]\n\n")
        self.last = end + b"0\r\n\r\n" if chunked else end


STARTS = starts()


class Server:
    """The script, and the records."""

    def __init__(self) -> None:
        self.script = Script()
        self.bytes = Bytes(chunked=False), Bytes(chunked=True)
        self.records: dict[str, Record] = {}
        self.ended = 0.0
        """Answers that were asked for before end with their next token."""
        self.held = set[Connection]()
        self.waiting: list[Connection] = []
        self._asked = 0

    def answer_to(self, prompt: str) -> Record:
        """A new record."""
        start = 0 if self.script.together else STARTS[self._asked % len(STARTS)]
        self._asked += 1
        self.records[prompt] = record = Record(monotonic(), start)
        return record

    def control(self, path: str) -> bytes:
        """Do what one of the functions above asks for."""
        url = urlsplit(path)
        said: object = {}
        if url.path == "/script":
            names = {name: float(value) for name, value in parse_qsl(url.query)}
            script = Script(**names)  # type: ignore[arg-type] # all are numbers, whole ones where it says so
            script.count, script.hold = int(script.count), int(script.hold)
            self.script = script
        elif url.path == "/waiting":
            said = len(self.waiting)
        elif url.path == "/go":
            for number, connection in enumerate(self.waiting):
                connection.begin(number / len(self.waiting))
            self.waiting = []
        elif url.path == "/end":
            self.ended = monotonic()
            for connection in list(self.held):
                connection.finish()
        elif url.path == "/records":
            said = {prompt: asdict(record) for prompt, record in self.records.items()}
            # What goes on is told again, the next time.
            self.records = {prompt: one for prompt, one in self.records.items() if one.closed is None}
        elif url.path == "/v1/models":
            said = {"data": [{"id": "scripted", "object": "model"}]}
        body = json.dumps(said).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        return f"{head}Connection: close\r\n\r\n".encode() + body


class Connection(asyncio.Protocol):
    """One request, one reply."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._record: Record | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._number = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are like asyncio's, and do not inherit from them.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        _, named, length = head.lower().partition(b"content-length:")
        if not end or len(body) < int(length.split()[0] if named else 0):
            return
        self._received = b""
        if not head.startswith(b"POST"):
            self._transport.write(self._server.control(head.split()[1].decode()))
            self._transport.close()
            return
        script = self._script = self._server.script
        record = self._server.answer_to(json.loads(body)["messages"][-1]["content"])
        self._record = record
        self._bytes = self._server.bytes[b"HTTP/1.1" in head.partition(b"\r\n")[0]]
        self._events = self._bytes.tokens[record.start]
        self._transport.write(self._bytes.first)
        if script.gate:
            self._server.waiting.append(self)
        else:
            self.begin()

    def begin(self, part: float = 0) -> None:
        """Say the first token, after the delay and this part of the time that one takes."""
        if self._record:
            self._begun = monotonic() + self._script.delay + part / self._script.rate
            self._say_when_due(self._record)

    def finish(self) -> None:
        """End the answer here."""
        self._transport.write(self._bytes.last)
        self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._server.held.discard(self)
        if self in self._server.waiting:
            self._server.waiting.remove(self)
        if self._timer:
            self._timer.cancel()
        if self._record:
            self._record.closed = monotonic()

    def _say_when_due(self, record: Record) -> None:
        due = self._begun + self._number / self._script.rate
        self._timer = self._loop.call_later(max(0.0, due - monotonic()), self._say, record)

    def _say(self, record: Record) -> None:
        if self._number == self._script.count or record.asked < self._server.ended:
            self.finish()
            return
        event = self._events[self._number % TOKENS]
        record.sent.append(monotonic())
        self._transport.write(event)
        self._number += 1
        if self._number == self._script.hold:
            self._server.held.add(self)
        else:
            self._say_when_due(record)


async def _serve() -> None:
    server = Server()
    listening = await asyncio.get_running_loop().create_server(
        lambda: Connection(server), "127.0.0.1", 0, backlog=2048
    )
    sys.stdout.write(f"{listening.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await listening.serve_forever()


if __name__ == "__main__":
    allow_connections()
    uvloop.run(_serve())
