"""One answer of 1,500 tokens at 100 a second, in a browser: the first of a conversation, and the 40th."""

from playwright.sync_api import Browser

from bench.browser import Watched, chromium, described, received, tab
from bench.figures import Figure, Goal, Results
from bench.options import Options
from bench.places import ENDING, OURS, PLAIN, Place, ours, plain, send, write
from bench.processes import cpu_seconds
from bench.text import TOKENS
from bench.trace import KINDS, REST
from bench.upstream import Upstream

NAME = "answer"
RATE = 100
TURNS = (1, 40)

FIGURES = (
    Figure("bytes", "kB", 1),
    Figure("server's CPU", "ms", 0),
    Figure("main thread", "ms", 0),
    *(Figure(kind, "ms", 0) for kind in (REST, *KINDS)),
    Figure("long tasks", "", 0, compared=False),
    Figure("longest task", "ms", 0, compared=False),
    Figure("end lag", "ms", 0, compared=False),
)
FIRST = "first turn"
GOALS = (
    Goal(FIRST, OURS, "bytes", 100),
    Goal(FIRST, OURS, "main thread", 1.2, PLAIN, "ratio"),
    Goal(FIRST, OURS, "end lag", 200),
    Goal("turn 40", OURS, "main thread", 1.1, FIRST, "case"),
)


def measure(options: Options) -> Results:
    """Both, in turns."""
    count = int(options.seconds * RATE) or TOKENS
    results = Results(
        NAME, f"One answer of {count:,} tokens at {RATE} a second, in a browser", (PLAIN,), FIGURES, GOALS
    )
    with chromium() as browser, Upstream() as upstream:
        results.machine = described(browser)
        upstream.say(rate=RATE, count=count, together=1)
        for number in range(options.rounds):
            for turns in TURNS:
                both = [(PLAIN, plain), (OURS, ours)]
                for who, place in both if number % 2 else reversed(both):
                    with place(upstream, turns - 1) as at:
                        results.add(case(turns), who, answered(browser, at, upstream))
    return results


def case(turns: int) -> str:
    """What a turn is called."""
    return FIRST if turns == 1 else f"turn {turns}"


def answered(browser: Browser, at: Place, upstream: Upstream) -> dict[str, float]:
    """What an answer costs from the click to its end."""
    with tab(browser) as page:
        page.goto(at.url, wait_until="networkidle")
        write(page)
        size, cpu = received(page), cpu_seconds([at.pid])
        with Watched(page) as watched:
            watched.expect("end", ENDING)
            send(page)
            watched.wait()
        used = cpu_seconds([at.pid]) - cpu
        (record,) = upstream.records().values()
        trace = watched.trace
        return {
            "bytes": (received(page) - size) / 1000,
            "server's CPU": used * 1e3,
            "main thread": trace.main_thread * 1e3,
            **{kind: seconds * 1e3 for kind, seconds in trace.kinds.items()},
            "long tasks": trace.long_tasks,
            "longest task": trace.longest * 1e3,
            "end lag": (trace.marks["end"] - record.sent[-1]) * 1e3,
        }
