"""`python -m bench`: every measurement, into docs/performance.md and bench/results.json; or one, printed.

python -m bench capacity --streams 100 --store sqlite
"""

import argparse
import os
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
    given = parser.parse_args()
    if unknown := set(given.measurements) - MEASUREMENTS.keys():
        parser.error(f"no such measurement: {', '.join(unknown)}")
    options = Options(
        given.rounds, given.seconds, tuple(given.streams), tuple(given.store), tuple(given.processes)
    )
    described, every = machine.described(), []
    for name in given.measurements or MEASUREMENTS:
        began = monotonic()
        every.append(MEASUREMENTS[name](options))
        print(f"{name}: {monotonic() - began:.0f} s", flush=True)
    print(report.told(described, every))
    if not given.measurements and not given.dry:
        report.written(described, every)
        simulation.main([])


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
