"""`python -m bench`: every measurement, into docs/performance.md and bench/results.json; or some, printed.

python -m bench capacity --streams 100 --store sqlite
python -m bench latency page --write
"""

import argparse
import os
from dataclasses import replace
from time import monotonic

from bench import (
    answer,
    capacity,
    idle,
    latency,
    machine,
    page,
    rates,
    rendering,
    report,
    simulation,
    start,
    storage,
    turnover,
    visible,
    watching,
)
from bench.options import Options
from bench.processes import ROOT

EVERY = (
    capacity,
    rates,
    turnover,
    watching,
    answer,
    latency,
    visible,
    page,
    start,
    idle,
    storage,
    rendering,
)
MEASUREMENTS = {module.NAME: module.measure for module in EVERY}


def main() -> None:
    """Measure, print, and write down what a whole run has found."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Each figure beside a baseline's.")
    parser.add_argument("measurements", nargs="*", metavar="measurement", help=", ".join(MEASUREMENTS))
    parser.add_argument("--rounds", type=int, default=Options.rounds)
    parser.add_argument("--seconds", type=float, default=0.0, help="for each figure")
    parser.add_argument("--streams", type=int, nargs="+", default=())
    parser.add_argument("--store", choices=("sqlite", "postgres"), nargs="+", default=())
    parser.add_argument("--processes", type=int, nargs="+", default=())
    parser.add_argument("--dry", action="store_true", help="write nothing down")
    parser.add_argument(
        "--write", action="store_true", help="write down those that are named, beside the others"
    )
    given = parser.parse_args()
    if unknown := set(given.measurements) - MEASUREMENTS.keys():
        parser.error(f"no such measurement: {', '.join(unknown)}")
    options = Options(
        given.rounds, given.seconds, tuple(given.streams), tuple(given.store), tuple(given.processes)
    )
    every = []
    for name in given.measurements or MEASUREMENTS:
        began, described = monotonic(), machine.described()
        found = MEASUREMENTS[name](options)
        every.append(replace(found, machine={**described, **found.machine}))
        print(f"{name}: {monotonic() - began:.0f} s", flush=True)
    print(report.told(every))
    if given.write or not (given.dry or given.measurements):
        report.written(every)
        simulation.main([])


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
