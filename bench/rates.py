"""Other rates, and more readers: what tells the cost of a token from that of an event and of a reader."""

from contextlib import ExitStack

from bench.arrivals import Kind
from bench.capacity import FIGURES, SECONDS, measured, warmed
from bench.figures import Results
from bench.options import Options
from bench.setups import TUTORIAL, named, ours, tutorial
from bench.upstream import Upstream

NAME = "rates"
STREAMS = 100
RATES = (5, 60)
SHARED, READERS = 20, 10
"""So many answers, and so many pages that read each."""


def case(rate: int) -> str:
    """What a rate is called."""
    return f"{STREAMS} answers of {rate} tokens a second"


READ = f"{SHARED} answers of 20, {READERS} pages read each"


def measure(options: Options) -> Results:
    """Everybody in turns, over a file, in one process."""
    seconds = options.seconds or SECONDS
    results = Results(NAME, "Capacity: other rates, and more readers", (TUTORIAL,), FIGURES)
    for number in range(options.rounds):
        with Upstream() as upstream, ExitStack() as closing:
            kinds: tuple[Kind, ...] = ("text", "html")
            everyone = [warmed(closing.enter_context(tutorial(upstream)), upstream)]
            everyone += [warmed(closing.enter_context(ours(upstream, kind)), upstream) for kind in kinds]
            for rate in RATES:
                for setup, kb in reversed(everyone) if number % 2 else everyone:
                    found = measured(setup, upstream, STREAMS, seconds, kb, rate=rate)
                    results.add(case(rate), setup.who, found)
            page, kb = everyone[-1]
            found = measured(page, upstream, SHARED, seconds, kb, readers=READERS)
            results.add(READ, named("html", "sqlite", 1), found)
    return results
