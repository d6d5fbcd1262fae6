"""Latency in a page: from the click to one's own message, and from the model's first token to a word seen."""

import statistics

from playwright.sync_api import Page

from bench.browser import Watched, chromium, described, tab
from bench.figures import Figure, Goal, Results, p95
from bench.options import Options
from bench.places import ENDING, OURS, PLAIN, ours, plain, send, write
from bench.upstream import Upstream

NAME = "visible"
CASE = "one page"
REPEATS = 20
"""A browser draws every 17 ms: something is seen so much sooner or later, and a median of few is chance."""
RATE = 20
TOKENS = 3
THINKING_SECONDS = 0.3
"""How long the model takes for its first token: by then the page's stream is connected."""

OWN = "article.prompt, .hx-pending"
"""Ours is shown while it is being sent, the baseline's when it was taken."""
STORED = "article.prompt"
WORD = ".answer .text:not(:empty), .answer .block:not(:empty)"

FIGURES = (
    Figure("own message", "ms"),
    Figure("the same, stored", "ms"),
    Figure("first word", "ms"),
    Figure("first word, p95", "ms"),
    Figure("end", "ms"),
)
GOALS = (Goal(CASE, OURS, "own message", 15),)


def measure(options: Options) -> Results:
    """Both in turns, several times a round; a round's value is their median, unless it says p95."""
    results = Results(NAME, "Latency in a page: until something is to be seen", (PLAIN,), FIGURES, GOALS)
    with Upstream() as upstream, chromium() as browser:
        results.machine = described(browser)
        upstream.say(rate=RATE, delay=THINKING_SECONDS, count=TOKENS, together=1)
        for number in range(options.rounds):
            both = [(PLAIN, plain), (OURS, ours)]
            for who, place in both if number % 2 else reversed(both):
                with place(upstream, 0) as at, tab(browser) as page:
                    page.goto(at.url, wait_until="networkidle")
                    results.add(CASE, who, _measured(page, upstream))
    return results


def _measured(page: Page, upstream: Upstream) -> dict[str, float]:
    own, stored, word, end = [], [], [], []
    with Watched(page) as watched:
        for number in range(REPEATS):
            write(page, f"Hi {number}")
            for name, selector in (("own", OWN), ("stored", STORED), ("word", WORD), ("end", ENDING)):
                watched.expect(f"{name} {number}", selector)
            watched.mark_next(f"submit {number}", "submit")
            send(page)
            watched.wait()
    records, marks = upstream.records(), watched.trace.marks
    for number in range(REPEATS):
        sent = records[f"Hi {number}"].sent
        own.append(marks[f"own {number}"] - marks[f"submit {number}"])
        stored.append(marks[f"stored {number}"] - marks[f"submit {number}"])
        word.append(marks[f"word {number}"] - sent[0])
        end.append(marks[f"end {number}"] - sent[-1])
    found = {"own message": own, "the same, stored": stored, "first word": word, "end": end}
    medians = {name: statistics.median(values) * 1e3 for name, values in found.items()}
    return {**medians, "first word, p95": p95(word) * 1e3}
