"""What it costs that nothing is shown which is not stored: `python -m bench.persistence [--answers N …]`.

Many answers run at once in this process, each at a steady pace. The time from a model's token to its
reader is measured twice in the same run: through the database, as the application does it, and handed
over in memory without storing anything. The difference is what storing adds.
"""

import argparse
import asyncio
import resource
import statistics
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from time import monotonic

from sqlalchemy import Engine, event
from sqlalchemy.ext.asyncio import AsyncSession

from app import answers, conversations
from app.db import Database
from app.generation import Generations
from app.polling import poll
from app.providers import ChatMessage, Delta
from app.tables import Message
from app.wakeups import WakeUps
from tests.postgres import NoPostgres, Postgres

PER_SECOND = 20
TOKENS = 80


class Tokens:
    """A model that says a numbered token at a steady pace, and notes when."""

    def __init__(self) -> None:
        self.said: list[float] = []

    async def stream(self, messages: list[ChatMessage]) -> AsyncGenerator[Delta, None]:
        """One token after the other, at times that do not drift."""
        begun = monotonic()
        times: list[float] = []
        TIMES[messages[-1]["content"]] = times
        for number in range(TOKENS):
            await asyncio.sleep(max(0, begun + number / PER_SECOND - monotonic()))
            times.append(monotonic())
            yield Delta(text="word ")
        yield Delta(finish="stop")


TIMES: dict[str, list[float]] = {}


async def asked(session: AsyncSession, answer: Message) -> list[ChatMessage]:
    """A prompt that names the answer."""
    return [{"role": "user", "content": str(answer.id)}]


async def through(url: str, count: int) -> tuple[list[float], int, float, float]:
    """Latencies of all tokens, transactions, seconds, and CPU seconds, with so many answers at once."""
    database, wakeups = Database(url), WakeUps()
    await database.upgrade()
    commits: list[object] = []
    counted = commits.append
    event.listen(Engine, "commit", counted)
    generations = Generations(database, wakeups, Tokens().stream, asked, answer_limit=1_000_000)
    await generations.open()
    polling = asyncio.create_task(poll(database, wakeups))
    turns = []
    for number in range(count):
        async with database.writing() as session:
            turns.append(
                await conversations.add_turn(
                    session, 1, prompt=f"{number}", model="m", worker=generations.worker
                )
            )
    latencies: list[float] = []
    commits.clear()
    began, cpu = monotonic(), cpu_seconds()
    for turn in turns:
        generations.start(turn.answer, await asked(session, turn.answer))

    async def read(message_id: int) -> None:
        seen = 0
        async with aclosing(answers.follow(database, wakeups, 1, message_id)) as states:
            async for state in states:
                now, there = monotonic(), len(state.text) // 5
                latencies.extend(now - said for said in TIMES[str(message_id)][seen:there])
                seen = there

    await asyncio.gather(*(read(turn.answer.id) for turn in turns))
    seconds, cpu = monotonic() - began, cpu_seconds() - cpu
    event.remove(Engine, "commit", counted)
    polling.cancel()
    with suppress(asyncio.CancelledError):
        await polling
    await generations.close()
    await database.close()
    return latencies, len(commits), seconds, cpu


async def in_memory(count: int) -> tuple[list[float], float]:
    """The same without a database: latencies, and CPU seconds."""
    latencies: list[float] = []
    cpu = cpu_seconds()

    async def one(name: str) -> None:
        queue: asyncio.Queue[float | None] = asyncio.Queue()

        async def write() -> None:
            async with aclosing(Tokens().stream([{"role": "user", "content": name}])) as deltas:
                async for _ in deltas:
                    queue.put_nowait(TIMES[name][-1])
            queue.put_nowait(None)

        writing = asyncio.create_task(write())
        while (said := await queue.get()) is not None:
            latencies.append(monotonic() - said)
        await writing

    await asyncio.gather(*(one(f"memory {number}") for number in range(count)))
    return latencies, cpu_seconds() - cpu


def cpu_seconds() -> float:
    """The processor time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def told(latencies: list[float]) -> str:
    """Median and 99th percentile, in milliseconds."""
    percentiles = statistics.quantiles(latencies, n=100)
    return f"{percentiles[49] * 1000:6.1f} / {percentiles[98] * 1000:6.1f}"


async def measure(name: str, url: str, counts: list[int]) -> None:
    """Print a row for each number of answers."""
    for count in counts:
        plain, plain_cpu = await in_memory(count)
        stored, commits, seconds, cpu = await through(url, count)
        tokens = count * TOKENS
        print(
            f"{name:10} {count:7} {told(plain)}   {told(stored)}   {commits / seconds:9.1f}"
            f" {plain_cpu / tokens * 1e6:9.0f} {cpu / tokens * 1e6:9.0f}",
            flush=True,
        )


def main() -> None:
    """Measure both stores, as far as there are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--answers", type=int, nargs="+", default=[1, 100, 500])
    counts = parser.parse_args().answers
    print(f"{TOKENS} tokens an answer, {PER_SECOND} a second; token to reader in ms: median / p99")
    print("store      answers  not stored        stored            commits/s  µs/token  µs/token stored")
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            asyncio.run(measure("SQLite", f"sqlite:///{folder}/{count}.db", [count]))
    try:
        with Postgres() as postgres:
            for count in counts:
                asyncio.run(measure("PostgreSQL", postgres.new_database(), [count]))
    except NoPostgres as error:
        print(f"PostgreSQL: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
