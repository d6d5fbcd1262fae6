"""What rendering an answer costs the server: time per flush by length, and bytes on the wire by kind of text.

python -m bench.rendering
"""

import json
import statistics
import sys
from collections.abc import Iterable
from itertools import pairwise
from time import perf_counter

from sse_starlette import ServerSentEvent

from app.fragments import changes, page_blocks
from app.markdown import render
from app.renderings import shown_blocks
from bench.text import SAMPLE, TOKENS, written

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


def main() -> None:
    """Measure, and print JSON."""
    json.dump({"flush_microseconds": list(flush_times()), "wire": list(wire_sizes())}, sys.stdout, indent=1)


def flush_times() -> Iterable[dict[str, object]]:
    """Microseconds for one flush of 20 characters at the end of a text of each length.

    `whole` renders all of the text anew, as a page that is loaded does; it is the baseline of the same run.
    """
    for length in LENGTHS:
        text = written(SAMPLE, length)
        yield {
            "characters": length,
            "flush": round(statistics.median(flushes(text, 400)) * 1e6),
            "whole": round(statistics.median(timed(text) for _ in range(5)) * 1e6),
        }


def flushes(text: str, last: int, step: int = 20) -> Iterable[float]:
    """The seconds that each flush of the last characters takes: rendering, and what to send."""
    ends = range(len(text) - last, len(text), step)
    shown_blocks("bench", text[: ends[0] - step], running=True)
    before = shown_blocks("bench", text[: ends[0] - step], running=True)
    for end in ends:
        start = perf_counter()
        now = shown_blocks("bench", text[:end], running=True)
        changes("bench", before, now, bare=True)
        yield perf_counter() - start
        before = now


def wire_sizes() -> Iterable[dict[str, object]]:
    """Bytes of events over those of the final HTML: 1,500 tokens at two speeds, 20 flushes a second."""
    for kind, sample in KINDS.items():
        text = written(sample, TOKENS * TOKEN)
        for tokens_per_second in (100, 40):
            sent = list(events(text, tokens_per_second * TOKEN // 20))
            final = len(page_blocks("17", render(text)).encode())
            yield {
                "kind": kind,
                "tokens_per_second": tokens_per_second,
                "text": len(text),
                "final_html": final,
                "sent": sum(sent),
                "events": len(sent),
                "ratio": round(sum(sent) / final, 2),
            }


def events(text: str, step: int) -> Iterable[int]:
    """The size in bytes of each event of an answer."""
    ends = [*range(step, len(text), step), len(text)]
    states = [shown_blocks("17", text[:end], running=end < len(text)) for end in (0, *ends)]
    for end, (before, now) in zip(ends, pairwise(states), strict=True):
        if html := changes("17", before, now, bare=True):
            yield len(ServerSentEvent(html, id=str(end), sep="\n").encode())


def timed(text: str) -> float:
    """How many seconds it takes to render a text whole."""
    start = perf_counter()
    render(text)
    return perf_counter() - start


if __name__ == "__main__":
    main()
