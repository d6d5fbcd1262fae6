"""Pages that are looked at in a browser: the application's, and the one with plain text."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page

from bench import history
from bench.processes import Child
from bench.upstream import Upstream
from e2e.server import Server

OURS, PLAIN, BARE = "ours", "plain text", "bare page"
ENDING = ".answer .ending"
"""What both call the end of an answer."""


@dataclass(frozen=True)
class Place:
    """Where a page is, and whose processor time is measured."""

    url: str
    pid: int


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


@contextmanager
def bare(upstream: Upstream, turns: int) -> Iterator[Place]:
    """A form, one stylesheet, and what was said before as plain text."""
    with Child("bench.baselines.plain", upstream.api) as child:
        yield Place(f"{child.url}/bare?turns={turns}", child.pid)


def write(page: Page, prompt: str = "Hi") -> None:
    """Put a prompt where prompts are written."""
    page.get_by_role("textbox", name="Message").fill(prompt)


def send(page: Page) -> None:
    """Send it."""
    page.get_by_role("button", name="Send", exact=True).click()
