"""Readers of many answers at once, in a process of its own: `python -m bench.load`.

It is handed a `Load` as JSON. While it reads it only keeps what came and when; what that means is found out
at the end (`arrivals`), beside what the upstream notes. It also looks at the processor time and memory of
the processes that are measured, since it alone knows when all streams run.
"""

import asyncio
import gc
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import nan
from time import monotonic
from typing import cast
from urllib.parse import urlencode

import uvloop

from bench.arrivals import Kind, arrived
from bench.processes import ROOT, allow_connections, cpu_seconds, memory_kb
from bench.upstream import end, go, records, say, waiting

AT_ONCE = 8
"""How many answers are being begun at once: a server is busy then, and turns none away."""
BEGIN_SECONDS = 90
SETTLE_SECONDS = 0.5
LATE_SECONDS = 5
"""How long is waited for what comes late, once all answers are told to end."""


@dataclass(frozen=True)
class Load:
    """What is to be read: `count` answers from servers at `ports`.

    All are begun, a few at once, before the first of them says a word.
    """

    kind: Kind
    ports: Sequence[int]
    upstream: int
    server: Sequence[int]
    """The processes whose time and memory are measured."""
    database: Sequence[int] = ()
    model: Sequence[int] = ()
    """The processes of the upstream, whose time is told together with that of the readers."""
    count: int = 1
    rate: float = 20
    """Tokens of each in a second."""
    hold: int = 0
    """After how many tokens an answer says nothing more; 0 for never."""
    seconds: float = 2
    """How long is measured, once all run."""
    name: str = ""
    readers: int = 1
    """How many pages read each answer; what comes of the last one counts."""
    elsewhere: bool = False
    """Whether, of several servers, half of the pages read from another than writes their answer."""


@dataclass(frozen=True)
class Seen:
    """What came of it. Times are in milliseconds, processor time in microseconds for a token."""

    sent: int
    delivered: int
    refused: int
    """Answers that were not begun."""
    lag_p50: float
    lag_p99: float
    cpu: float
    database_cpu: float
    others_cpu: float
    """What the model and the readers take, who share the machine with those that are measured."""
    cores: float
    """How much of a processor the server's processes use."""
    memory_kb: float
    bytes: float


def run(load: Load) -> Seen:
    """Have a process do it."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        cwd=ROOT,
        input=json.dumps(asdict(load)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=load.seconds + 3 * BEGIN_SECONDS,
    )
    return Seen(**json.loads(done.stdout))


class Reading(asyncio.Protocol):
    """One request, and what came back when, as it was."""

    def __init__(self, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        self._request = request
        self.received: list[tuple[float, bytes]] = []
        self.begun = loop.create_future()
        self.ended = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self.received.append((monotonic(), data))
        if not self.begun.done():
            self.begun.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        for future in (self.begun, self.ended):
            if not future.done():
                future.set_result(None)


def request(kind: Kind, prompt: str) -> bytes:
    """How each kind of server is asked."""
    if kind == "raw":
        return _post(json.dumps({"messages": [{"role": "user", "content": prompt}]}), "application/json")
    more = "HX-Request: true\r\n" if kind == "html" else ""
    return _post(urlencode({"prompt": prompt}), "application/x-www-form-urlencoded", more)


def _post(body: str, kind: str, more: str = "") -> bytes:
    return (
        f"POST /completion HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: {kind}\r\n"
        f"{more}Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


async def read(load: Load, number: int, turns: asyncio.Semaphore) -> Reading:
    """Begin an answer when it is its turn; its reading, once something has come."""
    loop = asyncio.get_running_loop()
    port = load.ports[number % len(load.ports)]
    first = request(load.kind, _prompt(load, number))
    async with turns:
        _, reading = await loop.create_connection(lambda: Reading(first), "127.0.0.1", port)
        if load.kind == "html":
            await reading.ended
            page = b"".join(data for _, data in reading.received)
            if not (found := re.search(rb"/completion/\d+/fragments[^\"' ]*", page)):
                return reading
            get = f"GET {found.group().decode()} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
            if load.elsewhere:
                port = load.ports[number // len(load.ports) % len(load.ports)]
            for _ in range(load.readers):
                _, reading = await loop.create_connection(lambda: Reading(get.encode()), "127.0.0.1", port)
        await reading.begun
    return reading


def _prompt(load: Load, number: int) -> str:
    return f"{load.name} {number}"


@dataclass(frozen=True)
class _Window:
    began: float
    ended: float
    cpu: float
    database_cpu: float
    others_cpu: float
    memory_kb: int


async def _watched(load: Load) -> _Window:
    """What is measured while all streams run."""
    await asyncio.sleep(SETTLE_SECONDS)
    pids = (load.server, load.database, [*load.model, os.getpid()])
    before, began = [cpu_seconds(one) for one in pids], monotonic()
    await asyncio.sleep(load.seconds)
    after, ended = [cpu_seconds(one) for one in pids], monotonic()
    used = [new - old for new, old in zip(after, before, strict=True)]
    return _Window(began, ended, used[0], used[1], used[2], memory_kb(load.server))


async def _all(load: Load) -> tuple[list[Reading], _Window]:
    say(load.upstream, rate=load.rate, hold=load.hold, gate=1)
    turns = asyncio.Semaphore(AT_ONCE)
    async with asyncio.timeout(BEGIN_SECONDS):
        readings = await asyncio.gather(*(read(load, number, turns) for number in range(load.count)))
        open_ones = [reading for reading in readings if not reading.ended.done()]
        # What has begun to answer is about to ask the model, if it has not; only that one knows.
        while waiting(load.upstream) < sum(not one.ended.done() for one in open_ones):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    go(load.upstream)
    window = await _watched(load)
    # What was said last shall come before all end at once: that is not what is measured.
    await asyncio.sleep(SETTLE_SECONDS)
    end(load.upstream)
    with suppress(TimeoutError):
        async with asyncio.timeout(LATE_SECONDS):
            await asyncio.gather(*(reading.ended for reading in readings))
    for reading in readings:
        reading.transport.abort()
    return readings, window


def _seen(load: Load, readings: Sequence[Reading], window: _Window) -> Seen:
    noted = records(load.upstream)
    arrivals = [
        arrived(reading.received, load.kind, record)
        for number, reading in enumerate(readings)
        if (record := noted.get(_prompt(load, number)))
    ]
    sent = sum(len(one.sent) for one in arrivals)
    lags = sorted(lag for one in arrivals for lag in one.lags(window.began, window.ended))
    in_window = sum(window.began <= at < window.ended for one in arrivals for at in one.sent)
    return Seen(
        sent=sent,
        delivered=sum(one.delivered for one in arrivals),
        refused=load.count - len(arrivals),
        lag_p50=_part(lags, 0.5) * 1e3,
        lag_p99=_part(lags, 0.99) * 1e3,
        cpu=window.cpu / in_window * 1e6 if in_window else nan,
        database_cpu=window.database_cpu / in_window * 1e6 if in_window else nan,
        others_cpu=window.others_cpu / in_window * 1e6 if in_window else nan,
        cores=window.cpu / (window.ended - window.began),
        memory_kb=window.memory_kb,
        bytes=sum(len(data) for reading in readings for _, data in reading.received) / sent,
    )


def _part(values: Sequence[float], part: float) -> float:
    return values[int((len(values) - 1) * part)] if values else nan


def main() -> None:
    """Read, then say what was seen."""
    allow_connections()
    load = Load(**json.load(sys.stdin))
    gc.disable()
    readings, window = uvloop.run(_all(load))
    json.dump(asdict(_seen(load, readings, window)), sys.stdout)


if __name__ == "__main__":
    main()
