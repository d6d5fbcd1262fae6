"""Chromium, watched: what its main thread does, and when something is there to be seen."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from bench.trace import CATEGORIES, Trace, read

# What a test does in the page, and no part of it: mark the frame that shows so many of something.
MARK = """([name, selector, count]) => {
  window.marked = [...(window.marked || []), new Promise(done => {
    const see = () => {
      if (document.querySelectorAll(selector).length < count) return;
      watch.disconnect();
      requestAnimationFrame(() => setTimeout(() => done(performance.mark(name) && null)));
    };
    const watch = new MutationObserver(see);
    watch.observe(document, { childList: true, subtree: true, characterData: true });
    see();
  })];
}"""
ON = """([name, event]) =>
  addEventListener(event, () => performance.mark(name), { capture: true, once: true })"""
RECEIVED = """() => performance.getEntriesByType('resource')
  .reduce((sum, entry) => sum + entry.encodedBodySize, 0)"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window of its own, which would be drawn by the same two cores while a page is."""
    path = os.environ.get("CHROMIUM_EXECUTABLE") or None
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


def described(browser: Browser) -> dict[str, str]:
    """What a page was measured in."""
    path = Path(os.environ.get("CHROMIUM_EXECUTABLE") or "Playwright's headless shell")
    return {"browser": f"{path.name} {browser.version}"}


@contextmanager
def tab(browser: Browser) -> Iterator[Page]:
    """A page in a profile of its own: nothing is cached."""
    context: BrowserContext = browser.new_context(viewport={"width": 1100, "height": 720})
    try:
        yield context.new_page()
    finally:
        context.close()


class Watched:
    """What a page did within the block; `trace` is there behind it."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._browser = page.context.browser
        self.trace: Trace

    def __enter__(self) -> "Watched":
        if self._browser:
            self._browser.start_tracing(page=self._page, categories=CATEGORIES)
        self.began = monotonic()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._browser:
            trace = self._browser.stop_tracing()
            if kind is None:
                self.trace = read(trace)

    def expect(self, name: str, selector: str, *, more: int = 1) -> None:
        """Mark when there are so many more of these elements than now to be seen."""
        self._page.evaluate(MARK, [name, selector, self._page.locator(selector).count() + more])

    def wait(self) -> None:
        """Wait until all are that are expected."""
        self._page.evaluate("() => Promise.all(window.marked).then(() => null)")

    def mark_next(self, name: str, event: str) -> None:
        """Mark when the next event of a kind comes."""
        self._page.evaluate(ON, [name, event])


def received(page: Page) -> int:
    """The bytes that a page has been sent for its requests, as they came, without the page itself."""
    return int(page.evaluate(RECEIVED))
