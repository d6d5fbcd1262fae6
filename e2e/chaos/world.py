"""The world: server processes, each behind a proxy, their database, and what happens to them."""

import asyncio
import re
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import TimeoutExpired
from time import monotonic
from typing import Self

from e2e.chaos.records import Lost, Run
from e2e.chaos.schedule import Fault
from e2e.chaos.upstream import Model
from e2e.server import Proxy, Server
from tests.postgres import Postgres

GRACE_SECONDS = 2
TERMINATION_SECONDS = GRACE_SECONDS + 3
"""How long a server may take to end in order: its readers have two seconds after the grace, and this
machine, on which all of it runs at once, one more."""

START_TRIES = 40


class World:
    """Processes on one database; `async with` starts them and ends them in order."""

    def __init__(
        self, run: Run, model: Model, folder: Path, url: str, *, processes: int, postgres: Postgres | None
    ) -> None:
        self._run = run
        self._model = model
        self._folder = folder
        self._postgres = postgres
        self._servers = [
            Server(
                self._home(process),
                database_url=url,
                openai_base_url=model.url(process),
                model="scripted",
                grace_seconds=str(GRACE_SECONDS),
            )
            for process in range(processes)
        ]
        self._proxies: list[Proxy] = []
        self._stack = ExitStack()
        self._listening = [False] * processes
        self._hindrances = 0

    async def __aenter__(self) -> Self:
        if self._postgres:
            await asyncio.to_thread(self._servers[0].run, "migrate")
        for process in range(len(self._servers)):
            await self._start(process)
            self._proxies.append(self._stack.enter_context(Proxy(self._servers[process].port)))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stack.close()
        for server in self._servers:
            if server.alive:
                server.signal(signal.SIGCONT)
                await asyncio.to_thread(server.kill)

    @property
    def addresses(self) -> list[str]:
        """Where clients find the servers."""
        return [proxy.url for proxy in self._proxies]

    async def strike(self, fault: Fault) -> None:
        """Let a fault happen, and undo what can be undone."""
        await asyncio.sleep(fault.after)
        for process, server in enumerate(self._servers):
            if not server.alive:
                self._run.mishaps.append(f"process {process} ended by itself:\n{server.log[-2000:]}")
                await self._start(process)
        self._run.faults[fault.kind] += 1
        done: dict[str, Callable[[Fault], Awaitable[None]]] = {
            "kill": self._kill_one,
            "kill all": self._kill_all,
            "kill at start": self._kill_at_start,
            "freeze": self._freeze,
            "terminate": self._terminate,
            "cut": self._cut,
            "database": self._restart_database,
            "database crash": self._restart_database,
        }
        await done[fault.kind](fault)

    async def end(self) -> None:
        """End every process in order, as the last thing."""
        await asyncio.gather(*(self._terminate_process(process) for process in range(len(self._servers))))

    async def _kill_one(self, fault: Fault) -> None:
        await self._kill(fault.process)
        await self._start(fault.process)

    async def _kill_all(self, _: Fault) -> None:
        processes = range(len(self._servers))
        await asyncio.gather(*(self._kill(process) for process in processes))
        await asyncio.gather(*(self._start(process) for process in processes))

    async def _kill_at_start(self, fault: Fault) -> None:
        await self._kill(fault.process)
        starting = asyncio.create_task(asyncio.to_thread(self._servers[fault.process].start))
        await asyncio.wait([starting], timeout=fault.seconds)
        if starting.done():
            self._heard(fault.process)
        self._note_kill(fault.process)
        self._servers[fault.process].signal(signal.SIGKILL)
        # It may have begun to listen meanwhile, or have said nothing at all.
        await asyncio.gather(starting, return_exceptions=True)
        await self._kill(fault.process, counts=False)
        await self._start(fault.process)

    async def _freeze(self, fault: Fault) -> None:
        with self._hindered():
            self._servers[fault.process].signal(signal.SIGSTOP)
            await asyncio.sleep(fault.seconds)
            self._servers[fault.process].signal(signal.SIGCONT)

    async def _terminate(self, fault: Fault) -> None:
        await self._terminate_process(fault.process)
        await self._start(fault.process)

    async def _cut(self, fault: Fault) -> None:
        with self._hindered():
            self._proxies[fault.process].cut()
            await asyncio.sleep(fault.seconds)
            self._proxies[fault.process].mend()

    async def _restart_database(self, fault: Fault) -> None:
        assert self._postgres
        with self._hindered():
            await asyncio.to_thread(
                self._postgres.kill if fault.kind == "database crash" else self._postgres.stop
            )
            await asyncio.sleep(fault.seconds)
            await asyncio.to_thread(self._postgres.start)

    async def _kill(self, process: int, *, counts: bool = True) -> None:
        if counts:
            self._note_kill(process)
        await asyncio.to_thread(self._servers[process].kill)
        self._keep_log(process)

    def _note_kill(self, process: int) -> None:
        self._run.faults["kill -9"] += 1
        now = monotonic()
        self._run.lost += [Lost(asked.prompt, now) for asked in self._model.open_requests(process)]
        self._listening[process] = False
        self._note_health()

    async def _terminate_process(self, process: int) -> None:
        self._listening[process] = False
        self._note_health()
        began = monotonic()
        server = self._servers[process]
        try:
            status = await asyncio.to_thread(server.end, signal.SIGTERM, seconds=TERMINATION_SECONDS + 10)
        except TimeoutExpired:
            await asyncio.to_thread(server.kill)
            status = -signal.SIGKILL
        seconds = monotonic() - began
        self._keep_log(process)
        self._run.termination_seconds.append(seconds)
        if status or seconds > TERMINATION_SECONDS:
            self._run.mishaps.append(
                f"process {process} was told to end: status {status} after {seconds:.1f} s. Its log:\n"
                + server.log[-2000:]
            )

    async def _start(self, process: int) -> None:
        """Start a process as a supervisor does: where it does not start, again."""
        for _ in range(START_TRIES):
            try:
                await asyncio.to_thread(self._servers[process].start)
            except AssertionError as error:
                self._run.refusals[0] += 1
                last = error
                await asyncio.sleep(0.5)
            else:
                self._heard(process)
                return
        raise last

    def _heard(self, process: int) -> None:
        self._listening[process] = True
        self._run.listening.setdefault(process, []).append(monotonic())
        self._note_health()

    @contextmanager
    def _hindered(self) -> Iterator[None]:
        """While something keeps the servers from their work, or their clients from them."""
        self._hindrances += 1
        self._note_health()
        yield
        self._hindrances -= 1
        self._note_health()

    def _note_health(self) -> None:
        for process, listening in enumerate(self._listening):
            healthy = (monotonic(), listening and not self._hindrances)
            self._run.health.setdefault(process, []).append(healthy)

    def _keep_log(self, process: int) -> None:
        log = self._servers[process].log
        self._run.complaints += Counter(re.findall(r"Traceback|ERROR|Task was destroyed|WARNING", log))
        with (self._home(process) / "log.txt").open("a") as file:
            file.write(f"{log}\n--- {monotonic():.3f}\n")

    def _home(self, process: int) -> Path:
        home = self._folder / str(process)
        home.mkdir(parents=True, exist_ok=True)
        return home
