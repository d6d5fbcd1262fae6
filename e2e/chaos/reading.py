"""Reading: following an answer from process to process until it has ended, by the id of the last event."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from time import monotonic

import httpx2

from e2e.chaos.records import FragmentReading, Reading, Resumption, Run, Shown
from e2e.chaos.upstream import WORD

AGAIN_SECONDS = 0.1
SILENCE_SECONDS = 3
"""How long a client waits for a byte before it tries another connection."""

TIMEOUT = httpx2.Timeout(SILENCE_SECONDS, connect=2)
_POSITIONS = re.compile(r"(\d+)(?:-(\d+))?")


@dataclass(frozen=True, slots=True)
class Event:
    """A server-sent event."""

    id: str
    name: str
    data: str


class Ways:
    """The ways to the servers, one a process; each request takes one of them, as behind a load balancer."""

    def __init__(self, client: httpx2.AsyncClient, addresses: Sequence[str], random: Random) -> None:
        self._client = client
        self._addresses = addresses
        self._random = random

    @asynccontextmanager
    async def open(
        self,
        method: str,
        path: str,
        *,
        data: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        patience: float = SILENCE_SECONDS,
    ) -> AsyncIterator[tuple[httpx2.Response, int]]:
        """An open response and the process that gave it. Raises httpx2.HTTPError and TimeoutError."""
        process = self._random.randrange(len(self._addresses))
        address = self._addresses[process] + path
        request = self._client.build_request(method, address, data=data, headers=headers)
        async with asyncio.timeout(patience):
            response = await self._client.send(request, stream=True)
        try:
            yield response, process
        finally:
            await response.aclose()


class Reader:
    """Reads answers, and writes down what came."""

    def __init__(self, ways: Ways, run: Run, random: Random) -> None:
        self._ways = ways
        self._run = run
        self._random = random

    async def follow(self, reading: Reading, *, lost_at: float | None = None) -> None:
        """Read an answer to its end, through as many connections as it takes."""
        while not reading.ended:
            after = {"Last-Event-ID": str(reading.shown[-1].position)} if reading.shown else {}
            path = f"/completion/{reading.message_id}"
            try:
                async with self._ways.open("GET", path, headers=after) as (response, process):
                    if response.status_code == 200:
                        await self.read(reading, response, process, lost_at)
                    else:
                        self._run.refusals[response.status_code] += 1
            except (httpx2.HTTPError, TimeoutError):
                pass  # this is what the run is about
            if not reading.ended:
                lost_at = lost_at or monotonic()
                await asyncio.sleep(AGAIN_SECONDS)

    async def read(
        self, reading: Reading, response: httpx2.Response, process: int, lost_at: float | None = None
    ) -> None:
        """Read one connection, to the answer's end or as far as it goes. Some readers hang up themselves."""
        leaves_after = self._random.randrange(1, 20) if self._random.random() < 0.15 else None
        async for event in events(response):
            if lost_at is not None:
                reading.resumptions.append(Resumption(lost_at, monotonic(), process))
                lost_at = None
            if event.name == "done":
                reading.ended, reading.ended_at = event.data, monotonic()
                return
            if not event.name:
                reading.shown.append(Shown(int(event.id), event.data, monotonic()))
            if leaves_after is not None and (leaves_after := leaves_after - 1) == 0:
                return

    async def follow_fragments(self, reading: FragmentReading) -> None:
        """Read the fragments of an answer as our page does, to its end."""
        last = ""
        while not reading.ended:
            path = f"/completion/{reading.message_id}/fragments"
            headers = {"Last-Event-ID": last} if last else {}
            try:
                async with self._ways.open("GET", path, headers=headers) as (response, _):
                    if response.status_code != 200:
                        self._run.refusals[response.status_code] += 1
                    else:
                        async for event in events(response):
                            if event.name == "done":
                                reading.ended = event.data
                                break
                            last = event.id
                            reading.words |= set(WORD.findall(event.data))
                            if numbers := _POSITIONS.fullmatch(last):
                                reading.positions.append((int(numbers[1]), int(numbers[2] or 0)))
            except (httpx2.HTTPError, TimeoutError):
                pass  # as above
            if not reading.ended:
                await asyncio.sleep(AGAIN_SECONDS)


async def events(response: httpx2.Response) -> AsyncIterator[Event]:
    """The events of a stream; one that was cut off does not count."""
    left = b""
    async for data in response.aiter_bytes():
        *whole, left = (left + data).split(b"\n\n")
        for block in whole:
            fields: dict[str, list[str]] = {"id": [], "event": [], "data": []}
            for line in block.decode().split("\n"):
                name, _, value = line.partition(":")
                fields.get(name, []).append(value.removeprefix(" "))
            if fields["data"]:
                yield Event("".join(fields["id"]), "".join(fields["event"]), "\n".join(fields["data"]))
