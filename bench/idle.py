"""Idle streams: what one takes while its answer says nothing, in memory and in processor time."""

from contextlib import ExitStack

from bench.figures import Figure, Goal, Results
from bench.load import Load, run
from bench.options import Options
from bench.setups import RAW, TUTORIAL, Setup, ours, raw, tutorial, warm
from bench.upstream import Upstream

NAME = "idle"
STREAMS = 100
READERS = 10
SECONDS = 1.0
ALONE, SHARED = "an answer for each", f"{READERS} pages read each answer"

FIGURES = (Figure("memory per stream", "kB"), Figure("CPU per stream and second", "µs"))
GOALS = (
    Goal(ALONE, "HTML", "memory per stream", 60),
    Goal(SHARED, "HTML", "memory per stream", 60),
)


def measure(options: Options) -> Results:
    """Everybody in turns, each in new processes: what had been in use before would be used again."""
    streams = options.streams[0] if options.streams else STREAMS
    results = Results(NAME, f"Idle streams: {streams} that wait for a word", (TUTORIAL, RAW), FIGURES, GOALS)
    for _ in range(options.rounds):
        with Upstream() as upstream, ExitStack() as closing:
            for start in (raw, tutorial):
                setup = closing.enter_context(start(upstream))
                results.add(ALONE, setup.who, _measured(setup, upstream, streams, 1, options))
            for who, kind, readers in (("text", "text", 1), ("HTML", "html", 1), ("HTML", "html", READERS)):
                setup = closing.enter_context(ours(upstream, "text" if kind == "text" else "html"))
                found = _measured(setup, upstream, streams // readers, readers, options)
                results.add(ALONE if readers == 1 else SHARED, who, found)
    return results


def _measured(
    setup: Setup, upstream: Upstream, answers: int, readers: int, options: Options
) -> dict[str, float]:
    before = warm(setup, upstream)
    seen = run(
        Load(
            setup.kind,
            setup.ports,
            upstream.port,
            setup.pids,
            count=answers,
            readers=readers,
            hold=1,
            seconds=options.seconds or SECONDS,
            name=setup.who,
        )
    )
    streams = answers * readers
    return {
        "memory per stream": (seen.memory_kb - before) / streams,
        "CPU per stream and second": seen.cores / streams * 1e6,
    }
