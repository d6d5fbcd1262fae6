"""A page: bytes and requests, and the time until one can write; new to a browser, and known to it.

Whoever opens it comes from another site, as people do: from none a browser need not change its process, which
it does for a page that other sites' windows may not reach (Cross-Origin-Opener-Policy).
"""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext

from bench.browser import chromium, described
from bench.figures import Figure, Goal, Results
from bench.options import Options
from bench.places import BARE, OURS, Place, bare, ours
from bench.processes import cpu_seconds
from bench.upstream import Upstream

NAME = "page"
TURNS = (0, 20, 2_000)
COLD, WARM = "cold", "warm"
REPEATS = 5

# What a test does in the page, and no part of it: when its composer is drawn, and when htmx is at work in it.
USABLE = """const drawn = selector => new Promise(done => {
  const see = () => {
    if (!document.querySelector(selector)) return;
    watch.disconnect();
    requestAnimationFrame(() => setTimeout(() => done(performance.now())));
  };
  const watch = new MutationObserver(see);
  watch.observe(document, { childList: true, subtree: true, attributes: true });
});
const composer = drawn('form [name=prompt] ~ button');
const powered = drawn('form[data-htmx-powered] [name=prompt] ~ button');
window.usable = async htmx => htmx ? [await composer, await powered] : [await composer]"""
LOADED = """() => {
  const every = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
  const sent = every.filter(entry => entry.transferSize > 0);
  return [sent.length, sent.reduce((sum, entry) => sum + entry.encodedBodySize, 0)];
}"""

FIGURES = (
    Figure("requests", "", compared=False),
    Figure("bytes", "kB", 1),
    Figure("usable composer", "ms"),
    Figure("htmx at work", "ms", compared=False),
    Figure("server's CPU", "ms", 1),
)
GOALS = (
    Goal("no turns, cold", OURS, "requests", 7),
    Goal("no turns, cold", OURS, "bytes", 30),
    Goal("no turns, cold", OURS, "usable composer", 1.5, BARE, "ratio"),
    Goal("no turns, warm", OURS, "usable composer", 1.5, BARE, "ratio"),
    Goal("2,000 turns, cold", OURS, "bytes", 1.2, "20 turns, cold", "case"),
    Goal("2,000 turns, cold", OURS, "usable composer", 1.2, "20 turns, cold", "case"),
)


def case(turns: int, when: str) -> str:
    """What a page is called."""
    return f"{turns or 'no':,} turns, {when}" if turns else f"no turns, {when}"


def measure(options: Options) -> Results:
    """Pages of each length, by both in turns."""
    results = Results(NAME, "The page, with as many turns as were", (BARE,), FIGURES, GOALS)
    with Upstream() as upstream, chromium() as browser, ExitStack() as closing:
        results.machine = described(browser)
        places = {
            turns: [
                (BARE, closing.enter_context(bare(upstream, turns))),
                (OURS, closing.enter_context(ours(upstream, turns))),
            ]
            for turns in TURNS
        }
        # Another site's: a name of its own, as browsers go by names.
        elsewhere = f"http://localhost:{urlsplit(places[0][0][1].url).port}/bare"
        for who, at in (each for both in places.values() for each in both):
            _visited(browser, who, at, elsewhere)  # what a server does at its first request it does once
        for _ in range(options.rounds):
            for turns, both in places.items():
                for (who, when), found in _round(browser, both, elsewhere).items():
                    results.add(case(turns, when), who, found)
    return results


def _round(
    browser: Browser, both: Sequence[tuple[str, Place]], elsewhere: str
) -> dict[tuple[str, str], dict[str, float]]:
    """The medians of some visits of each, by turns: where a browser's frames fall is chance."""
    found: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    for number in range(REPEATS):
        for who, at in both if number % 2 else reversed(both):
            for when, one in _visited(browser, who, at, elsewhere).items():
                found[who, when].append(one)
    return {
        key: {name: statistics.median(one[name] for one in each) for name in each[0]}
        for key, each in found.items()
    }


def _visited(browser: Browser, who: str, at: Place, elsewhere: str) -> dict[str, dict[str, float]]:
    """Twice: by a browser that has never seen it, and by the same once more."""
    context = browser.new_context(viewport={"width": 1100, "height": 720})
    try:
        return {when: _loaded(context, who, at, elsewhere) for when in (COLD, WARM)}
    finally:
        context.close()


def _loaded(context: BrowserContext, who: str, at: Place, elsewhere: str) -> dict[str, float]:
    page = context.new_page()
    page.goto(elsewhere, wait_until="networkidle")
    page.add_init_script(USABLE)
    cpu = cpu_seconds([at.pid])
    page.goto(at.url, wait_until="networkidle")
    usable, *powered = page.evaluate("htmx => window.usable(htmx)", who == OURS)
    requests, size = page.evaluate(LOADED)
    used = cpu_seconds([at.pid]) - cpu
    page.close()
    return {
        "requests": requests,
        "bytes": size / 1000,
        "usable composer": usable,
        **({"htmx at work": powered[0]} if powered else {}),
        "server's CPU": used * 1e3,
    }
