"""A page: bytes and requests, and the time until one can write; new to a browser, and known to it."""

from contextlib import ExitStack

from playwright.sync_api import Browser, BrowserContext

from bench.browser import chromium
from bench.figures import Figure, Goal, Results
from bench.options import Options
from bench.places import OURS, PLAIN, Place, ours, plain
from bench.processes import cpu_seconds
from bench.upstream import Upstream

NAME = "page"
TURNS = (0, 20, 2_000)
COLD, WARM = "cold", "warm"

# What a test does in the page, and no part of it: when one can write, and send what was written by htmx.
USABLE = """window.usable = new Promise(done => {
  const see = () => {
    if (!document.querySelector('form[data-htmx-powered] [name=prompt]')) return;
    watch.disconnect();
    requestAnimationFrame(() => setTimeout(() => done(performance.now())));
  };
  const watch = new MutationObserver(see);
  watch.observe(document, { childList: true, subtree: true, attributes: true });
})"""
LOADED = """() => {
  const every = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
  const sent = every.filter(entry => entry.transferSize > 0);
  return [sent.length, sent.reduce((sum, entry) => sum + entry.encodedBodySize, 0)];
}"""

FIGURES = (
    Figure("requests", "", compared=False),
    Figure("bytes", "kB", 1),
    Figure("usable composer", "ms"),
    Figure("server's CPU", "ms", 1),
)
GOALS = (
    Goal("no turns, cold", OURS, "requests", 7),
    Goal("no turns, cold", OURS, "bytes", 30),
    Goal("no turns, cold", OURS, "usable composer", 1.5, PLAIN, "ratio"),
    Goal("no turns, warm", OURS, "usable composer", 1.5, PLAIN, "ratio"),
    Goal("2,000 turns, cold", OURS, "bytes", 1.2, "20 turns, cold", "case"),
    Goal("2,000 turns, cold", OURS, "usable composer", 1.2, "20 turns, cold", "case"),
)


def case(turns: int, when: str) -> str:
    """What a page is called."""
    return f"{turns or 'no':,} turns, {when}" if turns else f"no turns, {when}"


def measure(options: Options) -> Results:
    """Pages of each length, by both in turns."""
    results = Results(NAME, "The page, with as many turns as were", (PLAIN,), FIGURES, GOALS)
    with Upstream() as upstream, chromium() as browser:
        for turns in TURNS:
            with ExitStack() as closing:
                both = [
                    (PLAIN, closing.enter_context(plain(upstream, turns))),
                    (OURS, closing.enter_context(ours(upstream, turns))),
                ]
                for _, at in both:
                    _visited(browser, at)  # what a server does at its first request it does once
                for number in range(options.rounds):
                    for who, at in both if number % 2 else reversed(both):
                        for when, found in _visited(browser, at).items():
                            results.add(case(turns, when), who, found)
    return results


def _visited(browser: Browser, at: Place) -> dict[str, dict[str, float]]:
    """Twice: by a browser that has never seen it, and by the same once more."""
    context = browser.new_context(viewport={"width": 1100, "height": 720})
    try:
        return {when: _loaded(context, at) for when in (COLD, WARM)}
    finally:
        context.close()


def _loaded(context: BrowserContext, at: Place) -> dict[str, float]:
    page = context.new_page()
    page.add_init_script(USABLE)
    cpu = cpu_seconds([at.pid])
    page.goto(at.url, wait_until="networkidle")
    usable = page.evaluate("() => window.usable")
    requests, size = page.evaluate(LOADED)
    used = cpu_seconds([at.pid]) - cpu
    page.close()
    return {
        "requests": requests,
        "bytes": size / 1000,
        "usable composer": usable,
        "server's CPU": used * 1e3,
    }
