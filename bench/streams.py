"""A thousand readers of answers that say nothing: what they cost, and what twenty others notice of them.

    python -m bench.streams [idle] [rounds]

The baseline is the same server in the same run, before they came.
"""

import asyncio
import json
import resource
import statistics
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from time import perf_counter

import httpx2

from e2e.server import Server
from tests.upstream import PAUSE, Upstream

ACTIVE = 20
READERS = 10
"""How many read each of the answers that say nothing."""


def main() -> None:
    """Measure, and print JSON: seconds to the first token, and kB of memory for an idle reader."""
    idle = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 25
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with (
        tempfile.TemporaryDirectory() as folder,
        Upstream() as upstream,
        Server(Path(folder), openai_base_url=upstream.url, model="scripted", idle_seconds="3600") as server,
    ):
        json.dump(asyncio.run(measured(server, upstream, idle, rounds)), sys.stdout, indent=1)


async def measured(server: Server, upstream: Upstream, idle: int, rounds: int) -> dict[str, float]:
    """Twenty alone; then the idle ones come; then twenty among them."""
    async with AsyncExitStack() as leaving:
        await first_tokens(server, upstream, 3)  # the first of all load what the later ones find
        alone = await first_tokens(server, upstream, rounds)
        memory = server.memory_kb
        for _ in range(idle // READERS):
            upstream.will_say("Hm. ", PAUSE, "Yes.")
            message = await begun(server)
            for _ in range(READERS):
                leaving.push_async_callback(close, await reading(server, message))
        per_reader = (server.memory_kb - memory) / idle
        cpu, began = server.cpu_seconds, perf_counter()
        await asyncio.sleep(5)
        idle_cpu = (server.cpu_seconds - cpu) / (perf_counter() - began)
        among = await first_tokens(server, upstream, rounds)
    return {
        "idle": idle,
        "kb_per_idle": round(per_reader, 1),
        "cpu_of_idle": round(idle_cpu, 3),
        "p50_alone": round(statistics.median(alone), 4),
        "p50_among_idle": round(statistics.median(among), 4),
        "p99_alone": round(p99(alone), 4),
        "p99_among_idle": round(p99(among), 4),
        "p99_ratio": round(p99(among) / p99(alone), 2),
    }


async def first_tokens(server: Server, upstream: Upstream, rounds: int) -> list[float]:
    """How long each of twenty at once waits for the first word of an answer, several times over."""
    waits: list[float] = []
    async with httpx2.AsyncClient(base_url=server.url, timeout=30, trust_env=False) as client:

        async def ask() -> None:
            began = perf_counter()
            async with client.stream("POST", "/completion", data={"prompt": "Hi"}) as response:
                async for line in response.aiter_lines():
                    if line.startswith("data: "):
                        waits.append(perf_counter() - began)
                        break

        for _ in range(rounds):
            for _ in range(ACTIVE):
                upstream.will_say("Hello there.")
            await asyncio.gather(*(ask() for _ in range(ACTIVE)))
    return waits


async def begun(server: Server) -> int:
    """Begin an answer, and read no more of it; its id."""
    async with (
        httpx2.AsyncClient(base_url=server.url, timeout=30, trust_env=False) as client,
        client.stream("POST", "/completion", data={"prompt": "Hi"}) as response,
    ):
        return int(response.headers["Content-Location"].rpartition("/")[2])


async def reading(server: Server, message: int) -> asyncio.StreamWriter:
    """A connection that reads an answer's fragments, once it has the first of them."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=4096)
    request = f"GET /completion/{message}/fragments HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    writer.write(request.encode())
    await reader.readuntil(b"Hm.")
    return writer


async def close(writer: asyncio.StreamWriter) -> None:
    """End a connection."""
    writer.close()


def p99(waits: list[float]) -> float:
    """What only one in a hundred waits longer than."""
    return sorted(waits)[int(len(waits) * 0.99)]


if __name__ == "__main__":
    main()
