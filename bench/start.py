"""Start: from the command to the first page, and the memory that the server then has in use."""

import sys
import tempfile
from pathlib import Path
from time import monotonic
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from bench.figures import Figure, Goal, Results
from bench.options import Options
from bench.processes import Child, descendants, memory_kb
from bench.setups import TUTORIAL
from bench.upstream import Upstream
from e2e.server import Server

NAME = "start"
OURS = "ours"
NEW, AGAIN, EMBEDDED = "with a new database", "with the one that was there", "with the built-in model"
ANSWERED = "memory, once it has answered"
"""What asks models, and what makes HTML of what they say, is loaded with the first prompt."""
LIMIT_SECONDS = 60
MODEL = Path(sys.prefix) / "model"

FIGURES = (
    Figure("first page", "s", 2),
    Figure("memory", "MiB"),
    Figure(ANSWERED, "MiB"),
    Figure("the model's memory", "MiB", compared=False),
    Figure("first word", "s", 2, compared=False),
)
GOALS = (
    Goal(AGAIN, OURS, "first page", 1),
    Goal(NEW, OURS, "first page", 1),
    Goal(AGAIN, OURS, "memory", 80),
)


def measure(options: Options) -> Results:
    """The baseline and each case in turns."""
    results = Results(NAME, "Start, and the memory behind the first page", (TUTORIAL,), FIGURES, GOALS)
    with Upstream() as upstream:
        upstream.say(rate=1_000, count=100)
        for _ in range(options.rounds):
            with tempfile.TemporaryDirectory() as folder:
                found = _tutorial(upstream)
                for case in (NEW, AGAIN):
                    results.add(case, TUTORIAL, found)
                    results.add(case, OURS, _ours(_server(folder, upstream)))
            if MODEL.is_dir():
                with tempfile.TemporaryDirectory() as folder:
                    results.add(EMBEDDED, OURS, _embedded(Server(Path(folder))))
    return results


def _server(folder: str, upstream: Upstream) -> Server:
    return Server(Path(folder), openai_base_url=upstream.api, model="scripted")


def _tutorial(upstream: Upstream) -> dict[str, float]:
    began = monotonic()
    with Child("bench.baselines.tutorial", upstream.api) as child:
        _get(child.url)
        first_page, memory = monotonic() - began, _memory(child.pid)
        _get(f"{child.url}/completion", b"prompt=Hi")
        return {"first page": first_page, "memory": memory, ANSWERED: _memory(child.pid)}


def _ours(server: Server) -> dict[str, float]:
    began = monotonic()
    with server:
        _get(server.url)
        first_page, memory = monotonic() - began, _memory(server.pid)
        _get(f"{server.url}/completion", b"prompt=Hi")
        _get(f"{server.url}/conversations/1")
        return {"first page": first_page, "memory": memory, ANSWERED: _memory(server.pid)}


def _embedded(server: Server) -> dict[str, float]:
    """The same; then the model has said a word, so it is loaded."""
    began = monotonic()
    with server:
        _get(server.url)
        first_page, memory = monotonic() - began, _memory(server.pid)
        ask = Request(f"{server.url}/completion", urlencode({"prompt": "Hi"}).encode())  # noqa: S310 - our own
        with urlopen(ask, timeout=LIMIT_SECONDS) as events:  # noqa: S310 - our own, on loopback
            while not events.readline().startswith(b"data:"):
                continue
            first_word = monotonic() - began
            _get(server.url + events.headers["Content-Location"] + "/stop", b"")
        return {
            "first page": first_page,
            "memory": memory,
            ANSWERED: _memory(server.pid),
            "the model's memory": memory_kb(descendants(server.pid)) / 1024,
            "first word": first_word,
        }


def _memory(pid: int) -> float:
    return memory_kb([pid]) / 1024


def _get(url: str, data: bytes | None = None) -> None:
    with urlopen(url, data, timeout=LIMIT_SECONDS) as response:  # noqa: S310 - our own, on loopback
        response.read()
