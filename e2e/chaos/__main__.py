"""`python -m e2e.chaos`: one run, its report; the exit status is 1 where a promise was broken."""

import asyncio
import signal
import sys
from pathlib import Path
from time import monotonic
from typing import Any

import click

from e2e.chaos.checks import check
from e2e.chaos.records import Run
from e2e.chaos.report import report
from e2e.chaos.run import Options, chaos


@click.command()
@click.option("--store", type=click.Choice(["sqlite", "postgres"]), default="sqlite")
@click.option("--kills", default=50, help="How many processes are killed.")
@click.option("--seed", default=1, help="Of the schedule and of what users do.")
@click.option("--processes", default=1, help="Server processes on one database.")
@click.option("--users", default=12)
@click.option("--folder", type=click.Path(path_type=Path), help="Where the servers' logs are left.")
@click.option("--seconds-at-most", default=600.0, help="After which no further fault happens.")
def main(**chosen: Any) -> None:
    """Kill, freeze and cut off servers at random, then count what was lost."""
    options = Options(**chosen)
    began = monotonic()

    def progress(line: str) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r{line}  ", err=True, nl=False)

    async def until_told_to_end() -> Run:
        running = asyncio.ensure_future(chaos(options, progress))
        # As Ctrl-C does: what was started is ended.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
        return await running

    run = asyncio.run(until_told_to_end())
    results = check(run)
    click.echo(f"\n{report(run, results, f'chaos {options}: {monotonic() - began:.0f} s')}")
    sys.exit(any(result.violations for result in results))


if __name__ == "__main__":
    main()
