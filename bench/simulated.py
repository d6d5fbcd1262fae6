"""A simulation of processes that write and read answers: queues of work, cores that share it, a store.

Each process does one thing after the other (its event loop). Who works on a host shares its cores evenly.
The tokens of an answer come at a steady pace; its process stores what has come, of so many answers at a time,
then their readers are sent it.
"""

from random import Random

from app.providers.pace import AT_ONCE
from app.writer import pause_seconds
from bench.costs import Costs, Outcome, Setup
from bench.load import LATE_SECONDS, SETTLE_SECONDS
from bench.queues import Clock, Host, Worker

PLENTY = 1_000
"""Cores, where they are not what is simulated."""
BESIDE_SECONDS = 0.1
"""How often what a process does besides has its turn: beats, looks, polls."""
PROMPT_PARTS = 10
"""A prompt is not taken at one go."""
LOCK_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.025, 0.025, 0.025, 0.05, 0.05, 0.1)
"""After what times SQLite looks again whether a lock is free; the last one for ever."""


def simulated(setup: Setup, costs: Costs) -> Outcome:
    """What comes of a setup, from the first tokens on, as the bench measures it."""
    return _Run(setup, costs).outcome()


class _Answer:
    """Its tokens by when the model said them: those that wait to be stored, and that wait to be read."""

    def __init__(self, near: int, far: int) -> None:
        self.near, self.far = near, far
        self.begun = False
        self.unstored: list[float] = []
        self.unread: list[float] = []


class _Run:
    """Everything there is, while it runs."""

    def __init__(self, setup: Setup, costs: Costs) -> None:
        self.setup, self.costs = setup, costs
        self.clock = Clock()
        self.host = Host(self.clock, setup.cores)
        self.apart = Host(self.clock, PLENTY) if setup.alone else self.host
        self.processes = [_Process(self) for _ in range(setup.processes)]
        self.model, self.reader = Worker(self.apart), Worker(self.apart)
        self.lags: list[float] = []
        self.said = self.come = self.commits = self.events = self.far = 0
        self.locked = False
        self.told_until = 0.0
        self._random = Random(1)  # noqa: S311 - the same at each run
        self._began, self._until = SETTLE_SECONDS, SETTLE_SECONDS + setup.seconds

    @property
    def watched(self) -> bool:
        """Whether it is now what is measured."""
        return self._began <= self.clock.now < self._until

    def outcome(self) -> Outcome:
        """Let it run, and tell."""
        setup = self.setup
        far = setup.elsewhere if setup.processes > 1 else 0.0
        for number in range(setup.answers):
            process = self.processes[number % setup.processes]
            place = number // setup.processes * setup.readers
            elsewhere = int((place + setup.readers) * far) - int(place * far)
            answer = _Answer(setup.readers - elsewhere, elsewhere)
            process.running += 1
            self._say_at(number / setup.answers / setup.rate, process, answer)
        for number, process in enumerate(self.processes):
            self._beside_at(number / setup.processes * BESIDE_SECONDS, process)
            self._prompt_at(self._pause(), process)
        self.clock.run(self._began)
        before = self._worked()
        self.clock.run(self._until)
        worked = [now - then for then, now in zip(before, self._worked(), strict=True)]
        self.clock.run(self._until + LATE_SECONDS)
        count = len(self.processes)
        tokens = setup.answers * setup.rate * setup.seconds
        lags = sorted(self.lags)
        return Outcome(
            delivered=100 * self.come / self.said,
            lag_p50=lags[int((len(lags) - 1) * 0.5)] * 1e3,
            lag_p99=lags[int((len(lags) - 1) * 0.99)] * 1e3,
            cpu=sum(worked[:count]) / tokens * 1e6,
            database_cpu=sum(worked[count:-2]) / tokens * 1e6,
            others_cpu=sum(worked[-2:]) / tokens * 1e6,
            busiest=max(worked[:count]) / setup.seconds,
            tokens=tokens / setup.seconds,
            commits=self.commits / setup.seconds,
            events=self.events / setup.seconds,
            far=self.far / setup.seconds,
        )

    def _worked(self) -> list[float]:
        loops = [process.loop.worked for process in self.processes]
        backends = [one.worked for process in self.processes for one in (process.writing, process.reading)]
        return [*loops, *backends, self.model.worked, self.reader.worked]

    def _say_at(self, time: float, process: "_Process", answer: _Answer) -> None:
        if time >= self._until:
            return

        def due() -> None:
            self.model.do(say, lambda: process.receive(answer, said[0]))
            self._say_at(time + 1 / self.setup.rate, process, answer)

        def say() -> float:
            self.said += 1
            said.append(self.clock.now)
            return self.costs.model

        said: list[float] = []
        self.clock.at(time, due)

    def _beside_at(self, time: float, process: "_Process") -> None:
        if time < self._until:
            self.clock.at(time, lambda: process.work(self.costs.beside * BESIDE_SECONDS))
            self.clock.at(time, lambda: self._beside_at(time + BESIDE_SECONDS, process))

    def _prompt_at(self, time: float, process: "_Process") -> None:
        if time < self._until and self.setup.prompts:
            self.clock.at(time, lambda: process.work(self.costs.prompt / PROMPT_PARTS, PROMPT_PARTS))
            self.clock.at(time, lambda: self._prompt_at(time + self._pause(), process))

    def _pause(self) -> float:
        return self._random.expovariate(self.setup.prompts) if self.setup.prompts else 0.0

    def send(self, said: list[float]) -> None:
        """Have the program that reads take an event; what tokens' first reader it is, if it is that."""

        def take() -> float:
            self.come += len(said)
            self.lags += [self.clock.now - at for at in said if self._began <= at < self._until]
            return self.costs.reader

        self.reader.do(take, _nothing)


class _Process:
    """A process that serves pages and writes answers."""

    def __init__(self, run: _Run) -> None:
        self._run, self._costs, self._clock = run, run.costs, run.clock
        self.loop = Worker(run.host)
        self.writing, self.reading = Worker(run.apart), Worker(run.apart)
        """What the database does for it."""
        self.running = 0
        self._dirty: dict[_Answer, None] = {}
        self._round: list[_Answer] = []
        self._began = 0.0
        self._state = "waiting"
        self._urgent = False
        self._pauses = 0

    def work(self, seconds: float, times: int = 1) -> None:
        """Do something, at so many goes."""
        then = (lambda: self.work(seconds, times - 1)) if times > 1 else _nothing
        self.loop.do(lambda: seconds, then)

    def receive(self, answer: _Answer, said: float) -> None:
        """Take the first token of an answer at once; others wait in the system until it is time to store."""
        if answer.begun:
            self._keep(answer, said)
        else:
            answer.begun = True
            self.loop.do(lambda: 0.0, lambda: self._begin(answer, said))

    def _keep(self, answer: _Answer, said: float) -> None:
        answer.unstored.append(said)
        self._dirty[answer] = None

    def _begin(self, answer: _Answer, said: float) -> None:
        self._keep(answer, said)
        self._urgent = True
        if self._state != "storing":
            self._flush()

    def _flush(self) -> None:
        self._state, batch = "storing", dict[_Answer, list[float]]()

        def take() -> float:
            self._urgent = False
            if not self._round:
                self._round, self._dirty, self._began = list(self._dirty), {}, self._clock.now
            for answer in self._round[:AT_ONCE]:
                batch[answer], answer.unstored = answer.unstored, []
                self._dirty.pop(answer, None)
            self._round = self._round[AT_ONCE:]
            return self._costs.token * sum(map(len, batch.values()))

        self.loop.do(take, lambda: self._store(batch) if self._run.setup.postgres else self._lock(batch))

    def _lock(self, batch: dict[_Answer, list[float]], tries: int = 0) -> None:
        if self._run.locked:
            again = LOCK_SECONDS[min(tries, len(LOCK_SECONDS) - 1)]
            self._clock.at(self._clock.now + again, lambda: self._lock(batch, tries + 1))
        else:
            self._run.locked = True
            self._store(batch)

    def _store(self, batch: dict[_Answer, list[float]]) -> None:
        cost = self._costs.commit + self._costs.row * len(batch)
        of_database = self._costs.database_commit + self._costs.database_row * len(batch)
        if self._run.setup.postgres:
            self.loop.do(
                lambda: cost, lambda: self.writing.do(lambda: of_database, lambda: self._wait(batch))
            )
        else:
            self.loop.do(lambda: cost, lambda: self._wait(batch))

    def _wait(self, batch: dict[_Answer, list[float]]) -> None:
        # One at a time: SQLite's lock is held meanwhile, and so is PostgreSQL's by those that notify.
        self._run.told_until = max(self._run.told_until, self._clock.now) + self._costs.wait
        self._clock.at(self._run.told_until, lambda: self._committed(batch))

    def _committed(self, batch: dict[_Answer, list[float]]) -> None:
        run, costs = self._run, self._costs
        if not run.setup.postgres:
            run.locked = False
        run.commits += run.watched
        run.events += len(batch) * run.watched
        for answer, said in batch.items():
            for number in range(answer.near):
                self._show(
                    said if number == answer.near - 1 else [], costs.send + costs.render * (not number)
                )
            if answer.far:
                self._tell_another(answer, said, shown=bool(answer.near))
        if self._urgent or self._round:
            self._flush()
        else:
            self._pause()

    def _pause(self) -> None:
        self._pauses += 1
        self._state, this = "pausing", self._pauses
        pause = pause_seconds(self.running, self._clock.now - self._began)
        self._clock.at(self._clock.now + pause, lambda: self._go_on(this))

    def _go_on(self, pause: int) -> None:
        if pause == self._pauses and self._state == "pausing":
            if self._dirty:
                self._flush()
            else:
                self._began = self._clock.now
                self._pause()

    def _show(self, said: list[float], cost: float) -> None:
        self.loop.do(lambda: cost, lambda: self._run.send(said))

    def _tell_another(self, answer: _Answer, said: list[float], *, shown: bool) -> None:
        """Have readers elsewhere look; what comes while they are about to is read at the same time."""
        waiting = bool(answer.unread)
        answer.unread += said
        if not waiting:
            others = self._run.processes
            other = others[(others.index(self) + 1) % len(others)]
            other.look(answer, shown=shown)

    def look(self, answer: _Answer, *, shown: bool) -> None:
        """Read what another process has stored, and show it."""
        costs = self._costs

        def read() -> float:
            said, answer.unread = answer.unread, []
            self._run.far += answer.far * self._run.watched
            for number in range(answer.far):
                last = number == answer.far - 1 and not shown
                self._show(said if last else [], costs.send + costs.render * (not number))
            return 0.0

        def hand_over() -> None:
            self.loop.do(lambda: costs.far * answer.far, lambda: self.loop.do(read, _nothing))

        self.reading.do(lambda: costs.database_far * answer.far, hand_over)


def _nothing() -> None:
    return
