"""Fitting: what the measured figures say that one token, commit, event and reader takes.

Each measured point is a sum: so many tokens, commits and events a second, which the simulation counts, times
what each costs. Costs that fit several points best, and are not negative, are found from those of `FITTED`;
all other points are left to check them.
"""

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations
from operator import mul
from pathlib import Path

from bench import capacity, idle, rates, storage, turnover
from bench.arrivals import Kind
from bench.costs import Costs, Outcome, Setup
from bench.report import JSON
from bench.setups import named
from bench.simulated import simulated

TIMES = 3
PARTS = (0.3, 0.5, 0.7, 0.9)
"""How often costs are fitted: how many commits there are goes by what they cost."""


@dataclass(frozen=True)
class Point:
    """Something that was measured, and how it is simulated."""

    measurement: str
    case: str
    kind: Kind
    setup: Setup

    @property
    def who(self) -> str:
        """What it is called."""
        return named(self.kind, "postgres" if self.setup.postgres else "sqlite", self.setup.processes)


def _capacity(answers: int, kind: Kind, store: str = "sqlite", processes: int = 1) -> Point:
    far = 0.5 if processes > 1 and store == "postgres" and kind == "html" else 0
    setup = Setup(answers, capacity.RATE, 1, processes, store == "postgres", far)
    return Point(capacity.NAME, capacity.case(answers), kind, setup)


def _rate(rate: int, kind: Kind) -> Point:
    return Point(rates.NAME, rates.case(rate), kind, Setup(rates.STREAMS, rate))


READ = Point(rates.NAME, rates.READ, "html", Setup(rates.SHARED, 20, rates.READERS))
FITTED = [
    *(_capacity(answers, kind) for kind in capacity.KINDS for answers in (1, 50, 200)),
    *(_rate(rate, kind) for kind in capacity.KINDS for rate in rates.RATES),
    READ,
]
ON_POSTGRES = [_capacity(100, kind, "postgres") for kind in capacity.KINDS]
FAR = _capacity(100, "html", "postgres", 2)
CHECKED = [
    point
    for store in ("sqlite", "postgres")
    for processes in (1, 2)
    for kind in capacity.KINDS
    for answers in capacity.STREAMS
    if (point := _capacity(answers, kind, store, processes)) not in (*FITTED, *ON_POSTGRES, FAR)
]


class Measured:
    """The figures of a file that the bench has written: the median of the rounds of each."""

    def __init__(self, path: Path = JSON) -> None:
        document = json.loads(path.read_text())
        self._medians: dict[tuple[str, str, str, str], float] = {
            (measurement["name"], one["case"], one["who"], one["figure"]): statistics.median(one["rounds"])
            for measurement in document["measurements"]
            for one in measurement["figures"]
        }

    def __getitem__(self, key: tuple[str, str, str, str]) -> float:
        """A figure, by measurement, case, who and its name."""
        return self._medians[key]

    def of(self, point: Point, figure: str) -> float:
        """A figure of a point."""
        return self[point.measurement, point.case, point.who, figure]

    def has(self, point: Point, figure: str = "CPU per token") -> bool:
        """Whether it was measured: there may have been no PostgreSQL."""
        return (point.measurement, point.case, point.who, figure) in self._medians


@dataclass(frozen=True)
class Known:
    """The costs over each store, of answers that are read as text and as pages."""

    sqlite: Mapping[Kind, Costs]
    postgres: Mapping[Kind, Costs]

    def of(self, kind: Kind, setup: Setup) -> Costs:
        """Those that go for a setup."""
        return (self.postgres if setup.postgres else self.sqlite)[kind]


def fitted(measured: Measured) -> Known:
    """The costs that the figures come to."""
    known = _guessed(measured)
    for _ in range(TIMES):
        known = _on_sqlite(measured, known)
    # All of what an event takes is the same processor time; what of it readers wait for is told by their lag.
    known = min(
        (_on_sqlite(measured, known, part) for part in PARTS), key=lambda one: _lag_error(measured, one)
    )
    if all(map(measured.has, (*ON_POSTGRES, FAR))):
        for _ in range(TIMES):
            known = _on_postgres(measured, known)
    return known


def _guessed(measured: Measured) -> Known:
    """What is measured by itself, and a beginning for the rest."""

    def of_storage(who: str) -> tuple[float, float, float]:
        """What a transaction waits for; what it takes in the database, and what each answer adds to that."""
        one, many = (storage.batch(pieces) for pieces in storage.BATCHES)

        def value(case: str, figure: str) -> float:
            return measured[storage.NAME, case, who, figure] / 1e3

        wait = max(value(one, "time of one") - value(one, "CPU of one"), 0)
        if who == storage.SQLITE:
            return wait, 0, 0
        first, last = (value(case, "database's CPU of one") for case in (one, many))
        return wait, first, max(last - first, 0) / (storage.BATCHES[1] - storage.BATCHES[0])

    wait, _, _ = of_storage(storage.SQLITE)
    begun = Costs(token=3e-5, commit=2e-3, row=3e-5, wait=wait, send=4e-5, model=1e-5, reader=2e-5)
    sqlite: dict[Kind, Costs] = {
        kind: replace(begun, beside=_of_idle(measured, kind), prompt=_of_turnover(measured, kind))
        for kind in capacity.KINDS
    }
    try:
        _, of_commit, of_row = of_storage(storage.POSTGRES)
    except KeyError:
        return Known(sqlite, sqlite)
    # What a commit waits for there is the database's work, and then the disk, as on SQLite.
    more = {"database_row": of_row, "database_commit": of_commit}
    return Known(sqlite, {kind: replace(costs, **more) for kind, costs in sqlite.items()})


def _of_idle(measured: Measured, kind: Kind) -> float:
    who = named_shortly(kind)
    return measured[idle.NAME, idle.ALONE, who, "CPU per stream and second"] * idle.STREAMS / 1e6


def _of_turnover(measured: Measured, kind: Kind) -> float:
    return measured[turnover.NAME, turnover.case(8), named_shortly(kind), "CPU per answer"] / 1e3


def named_shortly(kind: Kind) -> str:
    """What the application is called where there is one store only."""
    return "text" if kind == "text" else "HTML"


def _on_sqlite(measured: Measured, known: Known, before: float = 0.5) -> Known:
    """Fit what a token, a commit and an event take, for both kinds of readers together.

    So large a part of what an event takes comes before the commit.
    """
    rows, values, others, of_others = [], list[float](), [], list[float]()
    for point in FITTED:
        costs, setup = known.of(point.kind, point.setup), point.setup
        seen = simulated(setup, costs)
        html = point.kind == "html"
        sent = seen.events * setup.readers
        spent = measured.of(point, "CPU per token") * seen.tokens / 1e6 - costs.beside
        # Weighed by what was measured: an error is one of so many per cent, wherever it is.
        row = [seen.tokens, seen.commits, seen.events * (not html), seen.events * html, sent * html]
        rows.append([one / spent for one in row])
        values.append(1.0)
        spent = measured.of(point, "model's and readers' CPU per token") * seen.tokens / 1e6
        others.append([seen.tokens / spent, sent / spent])
        of_others.append(1.0)
    token, commit, text, render, send = least_squares(rows, values)
    model, reader = least_squares(others, of_others)
    found = {"token": token, "commit": commit, "model": model, "reader": reader}

    def learned(costs: Costs, kind: Kind) -> Costs:
        row = before * text
        more = {"send": text - row} if kind == "text" else {"send": send, "render": max(render - row, 0)}
        return replace(costs, **(found | {"row": row, **more}))

    sqlite: dict[Kind, Costs] = {kind: learned(costs, kind) for kind, costs in known.sqlite.items()}
    postgres: dict[Kind, Costs] = {
        kind: replace(learned(costs, kind), commit=max(costs.commit, commit))
        for kind, costs in known.postgres.items()
    }
    return Known(sqlite, postgres)


def _lag_error(measured: Measured, known: Known) -> float:
    lags = [(measured.of(point, "lag p50"), predicted(point, known).lag_p50) for point in FITTED]
    return sum((simulated / found - 1) ** 2 for found, simulated in lags)


def _on_postgres(measured: Measured, known: Known) -> Known:
    """Fit what a commit takes over that store, and what a reader costs that another process writes for."""
    commits, in_database = list[float](), list[float]()
    for point in ON_POSTGRES:
        costs = known.of(point.kind, point.setup)
        seen = simulated(point.setup, costs)
        missing = measured.of(point, "CPU per token") - seen.cpu
        commits.append(max(costs.commit + missing * seen.tokens / seen.commits / 1e6, 0))
        missing = measured.of(point, "database's CPU per token") - seen.database_cpu
        in_database.append(max(costs.database_commit + missing * seen.tokens / seen.commits / 1e6, 0))
    same = {"commit": statistics.mean(commits), "database_commit": statistics.mean(in_database)}
    costs = replace(known.postgres[FAR.kind], **same)
    seen = simulated(FAR.setup, costs)
    missing = measured.of(FAR, "CPU per token") - seen.cpu
    far = max(costs.far + missing * seen.tokens / seen.far / 1e6, 0)
    missing = measured.of(FAR, "database's CPU per token") - seen.database_cpu
    of_database = max(costs.database_far + missing * seen.tokens / seen.far / 1e6, 0)
    same |= {"far": far, "database_far": of_database}
    return replace(known, postgres={kind: replace(one, **same) for kind, one in known.postgres.items()})


def least_squares(rows: Sequence[Sequence[float]], values: Sequence[float]) -> list[float]:
    """What to multiply the columns with, never less than 0, so that the rows come nearest the values."""
    best, least = [0.0] * len(rows[0]), sum(value * value for value in values)
    columns = range(len(rows[0]))
    for used in chain.from_iterable(combinations(columns, size) for size in range(1, len(columns) + 1)):
        found = [0.0] * len(columns)
        for number, one in zip(used, _solved([[row[c] for c in used] for row in rows], values), strict=True):
            found[number] = one
        sums = [sum(map(mul, row, found)) for row in rows]
        error = sum((value - one) ** 2 for value, one in zip(values, sums, strict=True))
        if error < least and min(found) >= 0:
            best, least = found, error
    return best


def _solved(rows: Sequence[Sequence[float]], values: Sequence[float]) -> list[float]:
    """The same, with anything: by the normal equations. Columns that say the same get nothing."""
    size = len(rows[0])
    sides = [
        [sum(row[one] * row[other] for row in rows) for other in range(size)]
        + [sum(row[one] * value for row, value in zip(rows, values, strict=True))]
        for one in range(size)
    ]
    for number in range(size):
        best = max(range(number, size), key=lambda line: abs(sides[line][number]))
        sides[number], sides[best] = sides[best], sides[number]
        if not (pivot := sides[number][number]):
            return [0.0] * size
        sides[number] = [one / pivot for one in sides[number]]
        for line in range(size):
            if line != number and (times := sides[line][number]):
                sides[line] = [a - times * b for a, b in zip(sides[line], sides[number], strict=True)]
    return [line[-1] for line in sides]


def predicted(point: Point, known: Known) -> Outcome:
    """What the simulation has for a point."""
    return simulated(point.setup, known.of(point.kind, point.setup))


Figure = tuple[str, Callable[[Outcome], float]]
FIGURES: Sequence[Figure] = (
    ("delivered", lambda seen: seen.delivered),
    ("lag p50", lambda seen: seen.lag_p50),
    ("lag p99", lambda seen: seen.lag_p99),
    ("CPU per token", lambda seen: seen.cpu),
    ("database's CPU per token", lambda seen: seen.database_cpu),
)
"""What is both measured and simulated."""
