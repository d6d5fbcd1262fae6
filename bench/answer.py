"""One answer of 1,500 tokens at 100 a second, in a browser: the first of a conversation, and the 40th."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page

from bench import history
from bench.browser import Watched, chromium, received, tab
from bench.figures import Figure, Results
from bench.options import Options
from bench.processes import Child, cpu_seconds
from bench.text import TOKENS
from bench.trace import KINDS, REST
from bench.upstream import Upstream
from e2e.server import Server

NAME = "answer"
RATE = 100
TURNS = (1, 40)
OURS, PLAIN = "ours", "plain text"
ENDING = ".answer .ending"
"""What both call the same."""

FIGURES = (
    Figure("bytes", "kB", 1),
    Figure("server's CPU", "ms", 0),
    Figure("main thread", "ms", 0),
    *(Figure(kind, "ms", 0) for kind in (REST, *KINDS)),
    Figure("long tasks", "", 0, compared=False),
    Figure("longest task", "ms", 0, compared=False),
    Figure("end lag", "ms", 0, compared=False),
)


@dataclass(frozen=True)
class Place:
    """Where a page is, and whose processor time is measured."""

    url: str
    pid: int


def measure(options: Options) -> Results:
    """Both, in turns."""
    count = int(options.seconds * RATE) or TOKENS
    results = Results(
        NAME, f"One answer of {count:,} tokens at {RATE} a second, in a browser", (PLAIN,), FIGURES
    )
    with chromium() as browser, Upstream() as upstream:
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
    return "first turn" if turns == 1 else f"turn {turns}"


@contextmanager
def ours(upstream: Upstream, turns: int) -> Iterator[Place]:
    """The application, with a conversation that has had some turns."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder), openai_base_url=upstream.api, model="scripted")
        conversation = 0
        if turns:
            if (said := server.run("migrate")).returncode:
                raise AssertionError(said.stderr)
            conversation = history.stored(server.database_url, turns)
        with server:
            path = f"/conversations/{conversation}" if conversation else "/"
            yield Place(server.url + path, server.pid)


@contextmanager
def plain(upstream: Upstream, turns: int) -> Iterator[Place]:
    """A page to which each token is appended as plain text."""
    with Child("bench.baselines.plain", upstream.api) as child:
        yield Place(f"{child.url}/chat?turns={turns}", child.pid)


def answered(browser: Browser, at: Place, upstream: Upstream) -> dict[str, float]:
    """What an answer costs from the click to its end."""
    with tab(browser) as page:
        page.goto(at.url, wait_until="networkidle")
        write(page)
        size, cpu = received(page), cpu_seconds([at.pid])
        with Watched(page) as watched:
            watched.expect("end", ENDING)
            page.get_by_role("button", name="Send", exact=True).click()
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


def write(page: Page) -> None:
    """Put a prompt where prompts are written."""
    page.get_by_role("textbox", name="Message").fill("Hi")
