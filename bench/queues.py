"""Queues of work: who has some does one thing after the other, and shares the cores of a host with others."""

import heapq
from collections import deque
from collections.abc import Callable
from itertools import count

Done = Callable[[], None]


class Clock:
    """What happens when."""

    def __init__(self) -> None:
        self.now = 0.0
        self._numbers = count()
        self._due: list[tuple[float, int, Done]] = []

    def at(self, time: float, do: Done) -> None:
        """Do something then."""
        heapq.heappush(self._due, (time, next(self._numbers), do))

    def run(self, until: float) -> None:
        """Let everything happen."""
        while self._due and self._due[0][0] <= until:
            self.now, _, do = heapq.heappop(self._due)
            do()


class Host:
    """Cores that those who have work share evenly, each of them one core at most."""

    def __init__(self, clock: Clock, cores: int) -> None:
        self.clock = clock
        self._cores = cores
        self._done = 0.0
        """The work that each who had some since the beginning has got done."""
        self._seen = 0.0
        self._busy: list[tuple[float, int, Worker, Done]] = []
        self._numbers = count()
        self._plan = 0

    def work(self, worker: "Worker", seconds: float, then: Done) -> None:
        """Have something done for a worker, which has nothing else to do."""
        self._catch_up()
        speed, first = self._speed(), self._busy[0] if self._busy else None
        heapq.heappush(self._busy, (self._done + seconds, next(self._numbers), worker, then))
        if self._busy[0] is not first or self._speed() != speed:
            self._plan_next()

    def _catch_up(self) -> None:
        self._done += (self.clock.now - self._seen) * self._speed()
        self._seen = self.clock.now

    def _speed(self) -> float:
        return min(1.0, self._cores / len(self._busy)) if self._busy else 1.0

    def _plan_next(self) -> None:
        self._plan += 1
        if self._busy:
            plan, left = self._plan, max(self._busy[0][0] - self._done, 0) / self._speed()
            self.clock.at(self.clock.now + left, lambda: self._finish(plan))

    def _finish(self, plan: int) -> None:
        if plan != self._plan:
            return
        self._catch_up()
        _, _, worker, then = heapq.heappop(self._busy)
        then()
        worker.next()
        self._plan_next()


class Worker:
    """Does one piece of work after the other."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._waiting: deque[tuple[Callable[[], float], Done]] = deque()
        self._busy = False
        self.worked = 0.0

    def do(self, cost: Callable[[], float], then: Done) -> None:
        """Do something when it is its turn; `cost` is asked as it begins."""
        self._waiting.append((cost, then))
        if not self._busy:
            self.next()

    def next(self) -> None:
        """Begin with the next, and be done at once with what takes no time."""
        while self._waiting:
            self._busy = True
            cost, then = self._waiting.popleft()
            if seconds := cost():
                self.worked += seconds
                self._host.work(self, seconds, then)
                return
            then()
        self._busy = False
