"""A browser whose tabs hide one another, as those of people do; Playwright keeps all of its pages in view."""

import re
import subprocess
from pathlib import Path
from typing import Any, Self

import httpx2

FLAGS = ("--headless=new", "--remote-debugging-port=0", "--no-first-run", "--disable-background-networking")


class Tabs:
    """A Chromium of its own, driven by what it offers to debuggers."""

    def __init__(self, executable: str, profile: Path, *flags: str) -> None:
        self._command = [executable, *FLAGS, *flags, f"--user-data-dir={profile}", "about:blank"]
        self.address = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr
        for line in self._process.stderr:
            if found := re.search(r"DevTools listening on ws://(\S+?)/", line):
                self.address = f"http://{found[1]}"
                return self
        raise AssertionError("the browser did not start")

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate(timeout=10)

    def open(self, url: str) -> str:
        """Open a page in a new tab, in front of the others; the tab's name."""
        tab: str = self._ask("PUT", f"new?{url}")["id"]
        self.show(tab)
        return tab

    def show(self, tab: str) -> None:
        """Bring a tab to the front."""
        self._ask("GET", f"activate/{tab}")

    def _ask(self, method: str, path: str) -> Any:
        response = httpx2.request(method, f"{self.address}/json/{path}", trust_env=False).raise_for_status()
        return response.json() if response.text.startswith("{") else response.text
