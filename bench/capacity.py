"""Capacity: many answers at once, at a steady pace, read as text and as HTML."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bench.arrivals import Kind
from bench.figures import Figure, Goal, Results
from bench.load import Load, run
from bench.options import Options
from bench.setups import RAW, TUTORIAL, Setup, named, ours, raw, tutorial, warm
from bench.upstream import Upstream
from tests.postgres import NoPostgres, Postgres

NAME = "capacity"
RATE = 20
STREAMS = (1, 10, 50, 100, 200, 500)
SECONDS = 2.0
FEWEST = 50
"""Of fewer streams the memory would be that of something else."""

FIGURES = (
    Figure("delivered", "%", 1, compared=False),
    Figure("lag p50", "ms", 1, compared=False),
    Figure("lag p99", "ms", 1, compared=False),
    Figure("CPU per token", "µs", 0),
    Figure("database's CPU per token", "µs", 0, compared=False),
    Figure("model's and readers' CPU per token", "µs", 0, compared=False),
    Figure("memory per stream", "kB", 0),
    Figure("bytes per token", "", 0),
)
KINDS: tuple[Kind, ...] = ("text", "html")
TEXT, HTML = named("text", "sqlite", 1), named("html", "sqlite", 1)


def case(streams: int) -> str:
    """What a number of answers is called."""
    return f"{streams} answer{'s' * (streams > 1)}"


GOALS = (
    Goal(case(100), TEXT, "CPU per token", 0.6, TUTORIAL, "ratio"),
    Goal(case(100), TEXT, "CPU per token", 2, RAW, "ratio"),
    Goal(case(100), HTML, "CPU per token", 0.9, TUTORIAL, "ratio"),
    Goal(case(500), TEXT, "lag p99", 100),
    Goal(case(500), HTML, "lag p99", 100),
)


@dataclass(frozen=True)
class Plan:
    """Over which store, in how many processes, and how many answers at once."""

    store: str
    processes: int
    streams: Sequence[int]


def measure(options: Options) -> Results:
    """All of it, in rounds; each begins with new processes."""
    results = Results(
        NAME, f"Capacity: answers of {RATE} tokens a second, all at once", (TUTORIAL, RAW), FIGURES, GOALS
    )
    plans = list(planned(options))
    with ExitStack() as closing:
        postgres = postgres_if_any(closing) if any(plan.store == "postgres" for plan in plans) else None
        for number in range(options.rounds):
            _round(results, plans, postgres, options.seconds or SECONDS, number)
    return results


def planned(options: Options) -> Iterator[Plan]:
    """What is to be measured: every number of answers over each store, in one process and in two."""
    for store in options.stores or ("sqlite", "postgres"):
        for processes in options.processes or (1, 2):
            yield Plan(store, processes, options.streams or STREAMS)


def postgres_if_any(closing: ExitStack) -> Postgres | None:
    """A server that ends with `closing`; None where there is no PostgreSQL."""
    try:
        return closing.enter_context(Postgres())
    except NoPostgres:
        return None


def _round(
    results: Results, plans: Sequence[Plan], postgres: Postgres | None, seconds: float, number: int
) -> None:
    done = set[int]()
    with Upstream() as upstream, ExitStack() as closing:
        baselines = [warmed(closing.enter_context(start(upstream)), upstream) for start in (raw, tutorial)]
        for plan in plans:
            if plan.store == "postgres" and postgres is None:
                continue
            store = postgres if plan.store == "postgres" else None
            with ExitStack() as ending:
                setups = [
                    warmed(
                        ending.enter_context(ours(upstream, kind, postgres=store, processes=plan.processes)),
                        upstream,
                    )
                    for kind in KINDS
                ]
                for streams in sorted(plan.streams):
                    everyone = setups if streams in done else baselines + setups
                    done.add(streams)
                    # In turns: nobody is always the first, or behind the same other.
                    turned = everyone[number % len(everyone) :] + everyone[: number % len(everyone)]
                    for setup, kb in turned:
                        found = measured(setup, upstream, streams, seconds, kb)
                        results.add(case(streams), setup.who, found)
                        print(f"{case(streams)}, {setup.who}: {found['CPU per token']:.0f} µs", flush=True)


def warmed(setup: Setup, upstream: Upstream) -> tuple[Setup, int]:
    """It, and the memory that it has in use once it is warm."""
    return setup, warm(setup, upstream)


def measured(
    setup: Setup,
    upstream: Upstream,
    streams: int,
    seconds: float,
    kb: int,
    *,
    rate: float = RATE,
    readers: int = 1,
) -> dict[str, float]:
    """So many answers, each read by so many pages, in a setup that had this much memory in use before."""
    seen = run(
        Load(
            setup.kind,
            setup.ports,
            upstream.port,
            setup.pids,
            setup.database,
            [upstream.pid],
            count=streams,
            rate=rate,
            readers=readers,
            seconds=seconds,
            name=setup.who,
            elsewhere=setup.postgres is not None,
        )
    )
    found = {
        "delivered": 100 * seen.delivered / seen.sent * (1 - seen.refused / streams),
        "lag p50": seen.lag_p50,
        "lag p99": seen.lag_p99,
        "CPU per token": seen.cpu,
        "model's and readers' CPU per token": seen.others_cpu,
        "bytes per token": seen.bytes,
    }
    if streams * readers >= FEWEST:
        found["memory per stream"] = (seen.memory_kb - kb) / streams / readers
    if setup.postgres:
        found["database's CPU per token"] = seen.database_cpu
    return found
