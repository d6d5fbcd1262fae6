"""What readers cost who wait: `python -m bench.streams [--idle 1000]`.

First twenty prompts are sent, one after the other, and the time to the first word of each is taken; then
the same again beside idle readers of an answer that says nothing. Both in the same run, with the same server.
"""

import argparse
import asyncio
import re
import resource
import statistics
import tempfile
from pathlib import Path
from time import monotonic

import httpx2

from e2e.server import Server
from tests.upstream import Upstream

PROMPTS = 20
WORD = "Well"
PATIENT = {"first_token_seconds": "600", "idle_seconds": "600"}


async def first_words(url: str) -> list[float]:
    """Seconds from sending a prompt to the first word of its answer, of each of some prompts."""
    found = []
    async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:
        for number in range(PROMPTS):
            began = monotonic()
            async with client.stream("POST", "/completion", data={"prompt": f"Hello {number}"}) as response:
                async for line in response.aiter_lines():
                    if line.startswith("data:"):
                        found.append(monotonic() - began)
                        break
    return found


async def idle_readers(port: int, message_id: int, count: int) -> list[asyncio.StreamWriter]:
    """Open streams of an answer, each of which has been sent what there is."""

    async def one() -> asyncio.StreamWriter:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET /completion/{message_id}/fragments HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await reader.readuntil(WORD.encode())
        return writer

    writers = []
    for _ in range(0, count, 50):
        writers += await asyncio.gather(*(one() for _ in range(50)))
    return writers


def memory_of(pid: int) -> int:
    """The resident memory of a process, in bytes."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1024 if found else 0


async def measure(server: Server, upstream: Upstream, idle: int) -> None:
    """Print what was found."""
    await first_words(server.url)  # so that everything has been loaded
    alone = await first_words(server.url)
    upstream.will_hang(WORD)
    async with httpx2.AsyncClient(base_url=server.url, trust_env=False, timeout=60) as client:
        async with client.stream("POST", "/completion", data={"prompt": "Say nothing"}) as response:
            message_id = int(response.headers["content-location"].rpartition("/")[2])
        before = memory_of(server.pid)
        writers = await idle_readers(server.port, message_id, idle)
        after = memory_of(server.pid)
        cpu, began = server.cpu_seconds, monotonic()
        beside = await first_words(server.url)
        share = (server.cpu_seconds - cpu) / (monotonic() - began)
        cpu, began = server.cpu_seconds, monotonic()
        await asyncio.sleep(5)
        rest = (server.cpu_seconds - cpu) / (monotonic() - began)
        for writer in writers:
            writer.close()
    for name, times in (("alone", alone), (f"beside {idle}", beside)):
        median, most = statistics.median(times) * 1000, max(times) * 1000
        print(f"first word, {name:12} median {median:6.1f} ms  most {most:6.1f} ms")
    print(f"ratio of the medians {statistics.median(beside) / statistics.median(alone):.2f}")
    print(f"memory for each idle stream {(after - before) / idle / 1000:.1f} kB")
    print(f"processor while prompts are answered {share:.0%}, while all wait {rest:.1%}")


def main() -> None:
    """Measure with a server of its own."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--idle", type=int, default=1000)
    idle = parser.parse_args().idle
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with (
        tempfile.TemporaryDirectory() as folder,
        Upstream() as upstream,
        Server(
            Path(folder),
            openai_base_url=upstream.url,
            model="scripted",
            **PATIENT,
        ) as server,
    ):
        asyncio.run(measure(server, upstream, idle))


if __name__ == "__main__":
    main()
