"""Turnover: what it costs to take a prompt and to end its answer, which has one token."""

import statistics
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from time import monotonic

from bench.exchange import asking
from bench.figures import Figure, Results
from bench.options import Options
from bench.processes import cpu_seconds
from bench.setups import RAW, TUTORIAL, Setup, ours, raw, tutorial, warm
from bench.upstream import Upstream

NAME = "turnover"
PROMPTS = 96
AT_ONCE = (1, 8)

FIGURES = (
    Figure("CPU per answer", "ms", 1),
    Figure("time of an answer", "ms", 1),
    Figure("answers per second", "", compared=False),
)


def case(at_once: int) -> str:
    """What so many prompts at once are called."""
    return f"{at_once} at once"


def measure(options: Options) -> Results:
    """Everybody in turns."""
    results = Results(
        NAME, "Turnover: answers of one token, each in a new conversation", (TUTORIAL, RAW), FIGURES
    )
    for _ in range(options.rounds):
        with Upstream() as upstream, ExitStack() as closing:
            for who, start in (
                (RAW, raw(upstream)),
                (TUTORIAL, tutorial(upstream)),
                ("text", ours(upstream, "text")),
                ("HTML", ours(upstream, "html")),
            ):
                setup = closing.enter_context(start)
                warm(setup, upstream)
                upstream.say(rate=1000, count=1, together=1)
                for at_once in AT_ONCE:
                    results.add(case(at_once), who, measured(setup, at_once))
    return results


def measured(setup: Setup, at_once: int, name: str = "") -> dict[str, float]:
    """All prompts, so many at once; `name` tells them from those that were sent before."""
    cpu, began = cpu_seconds(setup.pids), monotonic()
    with ThreadPoolExecutor(at_once) as threads:
        took = list(threads.map(lambda number: _answered(setup, f"{name}{at_once} {number}"), range(PROMPTS)))
    return {
        "CPU per answer": (cpu_seconds(setup.pids) - cpu) / PROMPTS * 1e3,
        "time of an answer": statistics.median(took) * 1e3,
        "answers per second": PROMPTS / (monotonic() - began),
    }


def _answered(setup: Setup, prompt: str) -> float:
    """From the request to the end of the answer."""
    asked = asking(setup.kind, setup.ports[0], prompt)
    with asked.exchange as exchange:
        exchange.all()
    return monotonic() - asked.at
