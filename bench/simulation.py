"""`python -m bench.simulation`: what was measured beside what is simulated, and what was not measured.

All of it comes from bench/results.json, and goes into docs/scaling.md between its marks.
"""

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bench import outlook
from bench.arrivals import Kind
from bench.fitting import (
    CHECKED,
    FAR,
    FIGURES,
    FITTED,
    ON_POSTGRES,
    Known,
    Measured,
    Point,
    fitted,
    predicted,
)
from bench.processes import ROOT
from bench.report import replaced, table

DOCUMENT = ROOT / "docs" / "scaling.md"
LEARNED = {"CPU per token", "database's CPU per token"}
"""What costs are fitted to; lags are simulated only."""


@dataclass(frozen=True)
class Comparison:
    """A figure as it was measured, and as it is simulated."""

    point: Point
    figure: str
    measured: float
    simulated: float
    busiest: float
    """How much of its time a process had something to do."""

    @property
    def error(self) -> float:
        """By which part of what was measured the simulation is above it."""
        return self.simulated / self.measured - 1

    @property
    def fitted(self) -> bool:
        """Whether costs were found from it."""
        return self.figure in LEARNED and self.point in (*FITTED, *ON_POSTGRES, FAR)


def compared(measured: Measured, known: Known) -> list[Comparison]:
    """All that was measured of answers, in one process and in several."""
    found = []
    for point in (*FITTED, *ON_POSTGRES, FAR, *CHECKED):
        if not measured.has(point):
            continue
        seen = predicted(point, known)
        for name, figure in FIGURES:
            if measured.has(point, name):
                value = measured.of(point, name)
                found.append(Comparison(point, name, value, figure(seen), seen.busiest))
    return found


def told(measured: Measured, known: Known, every: Sequence[Comparison]) -> dict[str, str]:
    """The parts of the document, by name."""
    return {
        "people": table(outlook.OF_PEOPLE, outlook.of_people(known)),
        "process": table(outlook.OF_PROCESS, outlook.of_process(known)),
        "host": table(outlook.OF_HOST, outlook.of_host(known)),
        "postgres": table(outlook.OF_POSTGRES, outlook.of_postgres(measured, known)),
        "costs": table(["", "SQLite", "PostgreSQL"], _costs(known)),
        "points": table(["", "", *(name for name, _ in FIGURES[1:]), "process busy"], _points(every)),
    }


def _costs(known: Known) -> Iterator[Sequence[str]]:
    text: Kind = "text"
    html: Kind = "html"
    for name, kind, field in (
        ("a token, to take it from the model", text, "token"),
        ("a transaction of the writer", text, "commit"),
        ("each answer in it", text, "row"),
        ("an event for a program that reads", text, "send"),
        ("an event for pages, to render it: once for all that a process serves", html, "render"),
        ("the same, to send it: for each page", html, "send"),
        ("the same, where another process writes: to read it", html, "far"),
        ("a prompt and its answer's beginning and end, for a page", html, "prompt"),
        ("the database's server: a transaction of the writer", text, "database_commit"),
        ("the database's server: an event that is read", html, "database_far"),
    ):
        stores = [getattr(costs[kind], field) for costs in (known.sqlite, known.postgres)]
        yield [name, *(f"{1e6 * one:,.0f} µs" if one else "" for one in stores)]
    for kind, who in outlook.CALLED.items():
        parts = [costs[kind].beside for costs in (known.sqlite, known.postgres)]
        yield [
            f"what a process does besides, in each second, with {who}",
            *(f"{1e6 * one:,.0f} µs" for one in parts),
        ]


def _points(every: Sequence[Comparison]) -> Iterator[Sequence[str]]:
    for point in dict.fromkeys(one.point for one in every):
        ours = {one.figure: one for one in every if one.point is point}
        cells = [_beside(ours[name]) if name in ours else "" for name, _ in FIGURES[1:]]
        busiest = next(iter(ours.values())).busiest
        yield [point.case, point.who, *cells, f"{100 * busiest:.0f} %"]


def _beside(one: Comparison) -> str:
    return f"{one.measured:,.0f} / {one.simulated:,.0f} ({one.error:+.0%}{', fitted' * one.fitted})"


def written(parts: Iterable[tuple[str, str]]) -> None:
    """Put them in their places."""
    text = DOCUMENT.read_text()
    for name, part in parts:
        text = replaced(text, name, part)
    DOCUMENT.write_text(text)


def main(arguments: Sequence[str]) -> None:
    """Print everything, and write it down unless told not to."""
    parser = argparse.ArgumentParser(prog="python -m bench.simulation")
    parser.add_argument("--dry", action="store_true", help="write nothing down")
    given = parser.parse_args(arguments)
    measured = Measured()
    known = fitted(measured)
    parts = told(measured, known, compared(measured, known))
    print("\n\n".join(f"{name}:\n\n{part}" for name, part in parts.items()))
    if not given.dry:
        written(parts.items())


if __name__ == "__main__":
    os.chdir(ROOT)
    main(sys.argv[1:])
