"""One answer of 1,500 tokens at 100 a second: what it costs the server, and a browser's main thread.

    python -m bench.answer [rounds]

The browser's baseline is a page that appends each token as plain text (`bench.plain`), in the same run,
in turns with ours.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from playwright.sync_api import Browser, Page, sync_playwright

from bench.text import SECONDS_PER_TOKEN, tokens
from e2e.server import Server
from tests.upstream import Pause, Upstream

WAIT = 60_000
KINDS = {
    "main_thread": "TaskDuration",
    "script": "ScriptDuration",
    "layout": "LayoutDuration",
    "style": "RecalcStyleDuration",
}


def main() -> None:
    """Measure in turns, and print JSON: medians, in seconds."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    ours: list[dict[str, float]] = []
    plain: list[dict[str, float]] = []
    with sync_playwright() as playwright, chromium(playwright) as browser:
        for _ in range(rounds):
            plain.append(plain_answer(browser))
            ours.append(our_answer(browser))
    summary = {
        "ours": medians(ours),
        "plain": medians(plain),
        "main_thread_ratio": round(medians(ours)["main_thread"] / medians(plain)["main_thread"], 2),
        "ratios": [
            round(one["main_thread"] / other["main_thread"], 2)
            for one, other in zip(ours, plain, strict=True)
        ],
    }
    json.dump(summary, sys.stdout, indent=1)


def our_answer(browser: Browser) -> dict[str, float]:
    """The application: stored, rendered, streamed as fragments."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Upstream() as upstream,
        Server(Path(folder), openai_base_url=upstream.url, model="scripted") as server,
    ):
        upstream.will_say(*(step for token in tokens() for step in (Pause(SECONDS_PER_TOKEN), token)))
        page = browser.new_page(viewport={"width": 1100, "height": 720})
        page.goto(server.url)
        page.get_by_role("textbox", name="Message").fill("Hi")
        with watched(page) as measured:
            cpu = server.cpu_seconds
            page.get_by_role("button", name="Send", exact=True).click()
            page.locator(".answer .ending").wait_for(timeout=WAIT)
            measured["server_cpu"] = server.cpu_seconds - cpu
        page.close()
        return measured


def plain_answer(browser: Browser) -> dict[str, float]:
    """The baseline."""
    port = 18_321
    process = subprocess.Popen([sys.executable, "-m", "bench.plain", str(port)])
    try:
        wait_for(f"http://127.0.0.1:{port}/")
        page = browser.new_page(viewport={"width": 1100, "height": 720})
        page.goto(f"http://127.0.0.1:{port}/")
        with watched(page) as measured:
            page.get_by_role("button", name="Send").click()
            page.locator("#end").wait_for(timeout=WAIT, state="attached")
        page.close()
        return measured
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def watched(page: Page) -> Iterator[dict[str, float]]:
    """What the page's main thread does meanwhile, in seconds by kind."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    before = metrics(session)
    measured: dict[str, float] = {}
    yield measured
    after = metrics(session)
    measured |= {kind: after[name] - before[name] for kind, name in KINDS.items()}


def metrics(session: Any) -> dict[str, float]:
    """Chromium's own counters."""
    found = session.send("Performance.getMetrics")["metrics"]
    return {metric["name"]: metric["value"] for metric in found}


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    """Of each figure the median."""
    return {name: round(statistics.median(run[name] for run in runs), 3) for name in runs[0]}


@contextmanager
def chromium(playwright: Any) -> Iterator[Browser]:
    """The browser of the end-to-end tests."""
    path = os.environ.get("CHROMIUM_EXECUTABLE") or None
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    browser = playwright.chromium.launch(executable_path=path, args=arguments)
    yield browser
    browser.close()


def wait_for(url: str) -> None:
    """Wait until a server answers."""
    for _ in range(10_000):
        try:
            urlopen(url).close()  # noqa: S310 - our own, on loopback
        except OSError:
            continue
        return


if __name__ == "__main__":
    main()
