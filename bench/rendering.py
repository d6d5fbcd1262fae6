"""What rendering an answer costs the server: time for a flush by length, and bytes by kind of text."""

import statistics
from collections.abc import Iterable
from itertools import count, pairwise
from time import perf_counter

from sse_starlette import ServerSentEvent

from app.fragments import changes, page_blocks
from app.markdown import render
from app.renderings import shown_now
from bench.figures import Figure, Results
from bench.options import Options
from bench.text import SAMPLE, TOKENS, written

NAME = "rendering"
FRAGMENTS, WHOLE = "fragments", "whole"
FLUSHES_PER_SECOND = 20
SPEEDS = (100, 40)
LAST = 400
"""Characters at the end of a text whose flushes are measured."""
STEP = 20
"""Characters of a flush."""
TOKEN = 4
"""Characters, about, in English text and in code."""
LENGTHS = (1_000, 6_000, 64_000, 500_000)
KINDS = {
    "mixed": SAMPLE,
    "prose": "Prose with some *words* in emphasis, a `name` or **two strong words**, goes on for a while "
    "until it comes to its end, as this one does. A second sentence follows it, and sometimes a third.\n\n",
    "code": "```python\n"
    + "".join(
        f"def value_{n}(self) -> int:\n    return self._values[{n}]  # the one\n\n\n" for n in range(15)
    )
    + "```\n\n",
    "list": "".join(f"- **Term {n}**: some `words` of explanation, one line of them\n" for n in range(40))
    + "\n",
    "table": "| Name | Value | Meaning |\n|---|---|---|\n"
    + "".join(f"| `name_{n}` | {n} | what it says |\n" for n in range(40))
    + "\n",
}

_PLACES = count()

FIGURES = (Figure("time", "µs"), Figure("bytes", "kB", 1))


def measure(options: Options) -> Results:
    """Fragments beside the whole: of its rendering the time, of its HTML the size."""
    title = "Rendering: a flush of 20 characters beside all of the text; all events beside the final HTML"
    results = Results(NAME, title, (WHOLE,), FIGURES)
    for _ in range(options.rounds):
        for length in LENGTHS:
            text, case = written(SAMPLE, length), f"{length:,} characters"
            results.add(case, WHOLE, {"time": statistics.median(timed(text) for _ in range(5)) * 1e6})
            results.add(case, FRAGMENTS, {"time": statistics.median(flushes(text)) * 1e6})
    for kind, sample in KINDS.items():
        text = written(sample, TOKENS * TOKEN)
        final = len(page_blocks("17", render(text)).encode())
        for speed in SPEEDS:
            sent = sum(events(text, speed * TOKEN // FLUSHES_PER_SECOND))
            case = f"{kind}, {speed} tokens a second"
            results.add(case, WHOLE, {"bytes": final / 1000})
            results.add(case, FRAGMENTS, {"bytes": sent / 1000})
    return results


def flushes(text: str) -> Iterable[float]:
    """The seconds that each flush of the last characters takes: rendering, and what to send."""
    ends = range(len(text) - LAST, len(text), STEP)
    place = f"bench{next(_PLACES)}"  # nobody has been shown anything there
    before = shown_now(place, text[: ends[0] - STEP], running=True)
    for end in ends:
        start = perf_counter()
        now = shown_now(place, text[:end], running=True)
        changes(place, before.blocks, now.blocks, bare=True)
        yield perf_counter() - start
        before = now


def events(text: str, step: int) -> Iterable[int]:
    """The size in bytes of each event of an answer."""
    ends = [*range(step, len(text), step), len(text)]
    states = [shown_now("17", text[:end], running=end < len(text)).blocks for end in (0, *ends)]
    for end, (before, now) in zip(ends, pairwise(states), strict=True):
        if html := changes("17", before, now, bare=True):
            yield len(ServerSentEvent(html, id=str(end), sep="\n").encode())


def timed(text: str) -> float:
    """How many seconds it takes to render a text whole."""
    start = perf_counter()
    render(text)
    return perf_counter() - start
