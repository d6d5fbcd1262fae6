"""The outlook: what the simulation says of setups that were not measured, and what one PostgreSQL carries."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from app.leases import LOOK_SECONDS
from bench import storage
from bench.arrivals import Kind
from bench.costs import Outcome, Setup
from bench.fitting import Known, Measured
from bench.simulated import simulated

Rows = Iterator[Sequence[str]]

RUSH, LAG = 1.5, 200
"""Of so many times what is expected, the slowest hundredth is to be there within so many milliseconds."""
EACH = 300
"""Answers of a process, where many share a database."""
CONNECTIONS = 23
"""To PostgreSQL, of one process, at most: its pools and the one that listens (docs/deployment.md)."""
BEHIND = 500
"""Milliseconds: what is later than that gets later all the time."""
HOST = 8
"""Cores of the host that is planned with."""
SECONDS = 1.0
KINDS: Sequence[Kind] = ("text", "html")
BY = ("the process that writes", "any process")
CALLED: Mapping[Kind, str] = {"text": "programs", "html": "pages"}

ACTIVE = 0.1
"""The part of all people who are at it at the busiest time."""
EVERY_SECONDS = 120
"""How often each of those asks something."""
TOKENS, RATE = 400, 20
"""Of an answer, and how many of them come in a second."""
PEOPLE = (10, 1_000, 10_000, 100_000)


def _seen(known: Known, kind: Kind, setup: Setup) -> Outcome:
    costs = replace(known.of(kind, setup), model=0, reader=0)
    cores = max(HOST, setup.processes)
    return simulated(replace(setup, cores=cores, alone=True, seconds=SECONDS), costs)


def _told(seen: Outcome) -> list[str]:
    busy = f"{100 * min(seen.busiest, 1):.0f} %"
    behind = seen.lag_p99 > BEHIND
    lags = ["falls behind" if behind else f"{lag:,.0f}" for lag in (seen.lag_p50, seen.lag_p99)]
    return [f"{seen.cpu * seen.tokens / 1e6:.1f}", busy, *lags]


OF_PROCESS = [
    "answers",
    "tokens a second, each",
    "read by",
    "cores",
    "process busy",
    *("lag p50, ms", "lag p99, ms"),
]


def of_process(known: Known) -> Rows:
    """One process over a file."""
    for answers, rate, readers in (
        (100, 20, 1),
        (300, 20, 1),
        (600, 20, 1),
        (1_000, 20, 1),
        (300, 60, 1),
        (30, 20, 10),
    ):
        for kind in KINDS:
            if readers > 1 and kind == "text":
                continue
            seen = _seen(known, kind, Setup(answers, rate, readers))
            each = f"{readers} pages each" if readers > 1 else CALLED[kind]
            yield [f"{answers:,}", f"{rate}", each, *_told(seen)]


OF_HOST = [
    "store",
    "processes",
    "answers",
    "a page is served by",
    "cores",
    "busiest process",
    *("lag p50, ms", "lag p99, ms"),
]


def of_host(known: Known) -> Rows:
    """One host, with pages that are read; a database's server has another."""
    for postgres, processes, answers in (
        (False, 2, 500),
        (False, 4, 1_000),
        (True, 4, 1_000),
        (True, 8, 2_000),
    ):
        for elsewhere in (0.0, 1 - 1 / processes) if postgres else (0.0,):
            seen = _seen(known, "html", Setup(answers, RATE, 1, processes, postgres, elsewhere))
            store = "PostgreSQL" if postgres else "SQLite"
            yield [store, f"{processes}", f"{answers:,}", BY[elsewhere > 0], *_told(seen)]


@dataclass(frozen=True)
class Asked:
    """What so many people ask for."""

    people: int

    @property
    def prompts(self) -> float:
        """In a second."""
        return self.people * ACTIVE / EVERY_SECONDS

    @property
    def running(self) -> int:
        """Answers at a time."""
        return math.ceil(self.prompts * TOKENS / RATE)

    def needed(self, known: Known, anywhere: bool) -> tuple[int, Outcome]:
        """How many processes, so that each has something to spare; and what comes of it."""
        processes = max(int(self.running / MOST), 1)
        while True:
            if self._seen(known, anywhere, processes, RUSH).lag_p99 <= LAG:
                return processes, self._seen(known, anywhere, processes)
            processes = max(processes + 1, int(processes * STEP))

    def _seen(self, known: Known, anywhere: bool, processes: int, times: float = 1) -> Outcome:
        far = 1 - 1 / processes if anywhere else 0
        answers, prompts = math.ceil(self.running * times), self.prompts / processes * times
        setup = Setup(answers, RATE, 1, processes, processes > 1, far, prompts)
        return _seen(known, "html", setup)


MOST = 400
"""Answers of a process: with more it is not tried."""
STEP = 1.25

OF_PEOPLE = [
    *("people", "prompts a second", "answers at a time", "a page is served by"),
    *("processes", "cores", "database's cores", "lag p50, ms", "lag p99, ms"),
]


def of_people(known: Known) -> Rows:
    """What so many take, at their busiest time."""
    for people in PEOPLE:
        asked = Asked(people)
        for anywhere in (False, True):
            processes, seen = asked.needed(known, anywhere)
            cores, _, *lags = _told(seen)
            of_database = f"{seen.database_cpu * seen.tokens / 1e6:.1f}" if processes > 1 else ""
            store = "1, over SQLite" if processes == 1 else f"{processes}, over PostgreSQL"
            prompts = f"{asked.prompts:,.2f}" if asked.prompts < 1 else f"{asked.prompts:,.0f}"
            by = "" if processes == 1 else BY[anywhere]
            yield [f"{people:,}", prompts, f"{asked.running:,}", by, store, cores, of_database, *lags]
            if processes == 1:
                break


OF_POSTGRES = [
    *("processes", "answers", "connections, at most", "transactions that notify, a second", "of what it can"),
    *("notifications delivered, a second", "database's cores: storing", "delivering", "looks"),
    "looks, of each process",
]


def of_postgres(measured: Measured, known: Known) -> Rows:
    """What processes that are as full as planned ask of one server; last what grows with their square."""
    costs = known.postgres["html"]
    seen = _seen(known, "html", Setup(EACH, RATE, 1, 1, postgres=True))
    at_once = max(storage.AT_ONCE)

    def alone(case: str, who: str, figure: str) -> float:
        return measured[storage.NAME, case, who, figure]

    notifying = storage.writers(at_once), storage.NOTIFYING
    heard = storage.writers(at_once), storage.HEARD
    can = alone(*notifying, "a second")
    delivering = (alone(*heard, "database's CPU of one") - alone(*notifying, "database's CPU of one")) / 1e3
    delivering = max(delivering, 0) / storage.LISTENERS
    look = [
        alone(storage.LOOK, storage.POSTGRES, f"{whose} of one") / 1e3 / storage.RUNNING
        for whose in ("database's CPU", "CPU")
    ]
    for processes in (4, 16, 64):
        answers = processes * EACH
        commits = processes * seen.commits + answers * RATE / TOKENS * TRANSACTIONS
        storing = (
            processes * seen.commits * costs.database_commit + processes * seen.events * costs.database_row
        )
        looks = processes * answers / LOOK_SECONDS
        yield [
            *(
                f"{processes}",
                f"{answers:,}",
                f"{processes * CONNECTIONS:,}",
                f"{commits:,.0f}",
                f"{100 * commits / can:.0f} %",
            ),
            *(f"{commits * processes:,.0f}", f"{storing:.1f}", f"{commits * processes * delivering:.1f}"),
            *(f"{looks * look[0]:.1f}", f"{100 * answers / LOOK_SECONDS * look[1]:.0f} %"),
        ]


TRANSACTIONS = 2
"""Of a prompt and of the end of its answer, besides those that store its text."""
