"""Being watched: what metrics, the log and traces cost, for a token and for a prompt."""

import json
from contextlib import ExitStack

from bench.capacity import measured, warmed
from bench.figures import Figure, Results
from bench.options import Options
from bench.setups import ours
from bench.turnover import measured as turned
from bench.upstream import Upstream
from tests.collector import Collector

NAME = "watching"
STREAMS = 100
SECONDS = 1.5
PROMPTS_AT_ONCE = 8
OFF = "nothing"
LOG = {"log_level": "info", "log_format": "json"}

FIGURES = (Figure("CPU per token", "µs", 0), Figure("CPU per prompt", "ms", 1))


def measure(options: Options) -> Results:
    """Everybody in turns; all run at once, and those whose turn it is not have nothing to do."""
    results = Results(NAME, "Being watched: answers read as text, SQLite, 1 process", (OFF,), FIGURES)
    for number in range(options.rounds):
        with Upstream() as upstream, ExitStack() as closing:
            collector = closing.enter_context(Collector())
            everyone = [
                (who, *warmed(closing.enter_context(ours(upstream, "text", more=settings)), upstream))
                for who, settings in (
                    (OFF, {}),
                    ("METRICS=true", {"metrics": "true"}),
                    ("LOG_LEVEL=info LOG_FORMAT=json", LOG),
                    ("traces, to a collector", collector.settings),
                    ("all of it", {"metrics": "true", **LOG, **collector.settings}),
                )
            ]
            for who, setup, kb in reversed(everyone) if number % 2 else everyone:
                found = measured(setup, upstream, STREAMS, options.seconds or SECONDS, kb)
                results.add(f"{STREAMS} answers", who, {"CPU per token": found["CPU per token"]})
            upstream.say(rate=1000, count=1, together=1)
            for who, setup, _ in reversed(everyone) if number % 2 else everyone:
                found = turned(setup, PROMPTS_AT_ONCE, json.dumps(who))
                results.add(
                    f"{PROMPTS_AT_ONCE} prompts at once", who, {"CPU per prompt": found["CPU per answer"]}
                )
    return results
