"""A run: users at work, faults by the schedule, then quiet, and all that came of it."""

import asyncio
import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import monotonic
from typing import Literal

import httpx2

from e2e.chaos.reading import TIMEOUT, Ways
from e2e.chaos.records import Run
from e2e.chaos.schedule import schedule
from e2e.chaos.store import PostgresStore, SQLiteStore, Store
from e2e.chaos.upstream import Model
from e2e.chaos.users import User
from e2e.chaos.world import World
from tests.postgres import Postgres

QUIET_SECONDS = 30.0
"""How long users may take to come to an end when nothing goes wrong any longer."""

ENDING_SECONDS = 10.0
"""How long answers may then still be called running that nobody reads."""

ASK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is to be like."""

    store: Literal["sqlite", "postgres"] = "sqlite"
    kills: int = 10
    seed: int = 1
    processes: int = 1
    users: int = 12
    seconds_at_most: float = 600
    folder: Path | None = None
    """Where the database and the servers' logs are left; else in a temporary folder."""

    def __str__(self) -> str:
        """As it is asked for at the command line."""
        return f"--store {self.store} --kills {self.kills} --seed {self.seed} --processes {self.processes}"


async def chaos(options: Options, progress: Callable[[str], None] = lambda _: None) -> Run:
    """Let it all happen."""
    run = Run(options.seed)
    with ExitStack() as stack:
        folder = options.folder or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="chat-chaos-"))
        )
        postgres = stack.enter_context(Postgres()) if options.store == "postgres" else None
        store: Store = PostgresStore(postgres) if postgres else SQLiteStore(folder)
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
        async with (
            Model(run.asked) as model,
            World(run, model, folder, store.url, processes=options.processes, postgres=postgres) as world,
            httpx2.AsyncClient(timeout=TIMEOUT, limits=limits, trust_env=False) as client,
        ):
            await _suffer(run, options, world, client, progress)
            run.still_generating = await _generating(store)
            await world.end()
            run.stored = await store.read()
    return run


async def _suffer(
    run: Run, options: Options, world: World, client: httpx2.AsyncClient, progress: Callable[[str], None]
) -> None:
    """Have users at work while faults happen, until there were enough; then let the users come to an end."""
    closing = asyncio.Event()
    randoms = [Random(f"{options.seed} {number}") for number in range(options.users)]
    users = [User(Ways(client, world.addresses, random), run, random, closing) for random in randoms]
    tasks = {asyncio.create_task(user.live()): user for user in users}
    try:
        await _strike(run, options, world, tasks, progress)
        closing.set()
        _, late = await asyncio.wait(tasks, timeout=QUIET_SECONDS)
        run.mishaps += [f"a user waited in vain, {tasks[task].doing}" for task in late]
        for task in tasks.keys() - late:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _strike(
    run: Run,
    options: Options,
    world: World,
    tasks: Iterable[asyncio.Task[None]],
    progress: Callable[[str], None],
) -> None:
    began = monotonic()
    for fault in schedule(
        options.seed, kills=options.kills, processes=options.processes, store=options.store
    ):
        if monotonic() - began > options.seconds_at_most:
            break
        await world.strike(fault)
        for task in tasks:
            if task.done():
                task.result()  # a fault of the harness, not one that it looks for
        progress(f"{monotonic() - began:5.0f} s: {run.faults['kill -9']} kills, {len(run.prompts)} prompts")


async def _generating(store: Store) -> list[int]:
    """The answers that are still called running when they may be no longer."""
    for _ in range(int(ENDING_SECONDS / ASK_SECONDS)):
        if not await store.generating():
            break
        await asyncio.sleep(ASK_SECONDS)
    return await store.generating()
