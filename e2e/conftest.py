"""A browser, the real server, a scripted model, and a page that tolerates no error."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect

from e2e.chat import Chat
from e2e.proxies import HttpProxy
from e2e.server import Server
from tests.conftest import postgres, postgres_url
from tests.postgres import Postgres
from tests.upstream import Upstream

__all__ = ["postgres", "postgres_url"]  # fixtures that these tests share with the others

PATIENCE_MILLISECONDS = 10_000
"""How long a test waits for what a user would see: a slow machine with other tests on it may need it."""
expect.set_options(timeout=PATIENCE_MILLISECONDS)

NETWORK = ("ERR_", "SSE", "network error", "Failed to fetch", "htmx:error", "htmx:sse:error")
"""What a browser says of a network that fails."""


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Debian's Chromium where there is one, as root too, and without the calls home."""
    arguments = [
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-quic",
        "--no-first-run",
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ]
    path = os.environ.get("CHROMIUM_EXECUTABLE") or None
    return {**browser_type_launch_args, "args": arguments, **({"executable_path": path} if path else {})}


@pytest.fixture(scope="session")
def migrated(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a database that `python -m app migrate` has made, to be copied."""
    url = postgres.new_database()
    done = Server(tmp_path_factory.mktemp("migrate"), database_url=url).run("migrate")
    assert (done.returncode, done.stderr) == (0, "")
    return urlsplit(url).path.removeprefix("/")


def new_store(request: pytest.FixtureRequest, folder: Path) -> str:
    """The address of a database that several processes can share: in a file, or with tables on a server."""
    if request.param == "sqlite":
        return f"sqlite:///{folder}/chat.db"
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.new_database(request.getfixturevalue("migrated"))


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """The model: a scripted server."""
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def server(tmp_path: Path, upstream: Upstream) -> Iterator[Server]:
    """The application, asking the scripted model."""
    with Server(tmp_path, openai_base_url=upstream.url, model="scripted") as server:
        yield server


@pytest.fixture
def options() -> dict[str, Any]:
    """How the proxy of a test is bad."""
    return {}


@pytest.fixture
def proxy(server: Server, options: dict[str, Any]) -> Iterator[HttpProxy]:
    """A proxy in front of the application, for tests whose `origin` it is."""
    with HttpProxy(server.port, **options) as proxy:
        yield proxy


class Watch:
    """Collects what no page of ours may do: console errors, script errors, requests to elsewhere."""

    def __init__(self, origin: str) -> None:
        self.faults: list[str] = []
        self.allowed: list[str] = []
        self._host = urlsplit(origin).netloc

    def over(self, context: BrowserContext) -> None:
        """Watch every page of a context."""
        context.on("console", self._console)
        context.on("weberror", lambda error: self.faults.append(f"script error: {error.error}"))
        context.on("request", self._request)

    def allow(self, *parts: str) -> None:
        """Console messages with these words are what the test is about."""
        self.allowed += parts

    def check(self) -> None:
        """Fail on anything that was not allowed."""
        left = [fault for fault in self.faults if not any(part in fault for part in self.allowed)]
        assert left == []

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"console {message.type}: {message.text}")

    def _request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme in ("http", "https", "ws", "wss") and address.netloc != self._host:
            self.faults.append(f"foreign request: {request.url}")


@pytest.fixture
def origin(server: Server) -> str:
    """Where the browser finds the application."""
    return server.url


@pytest.fixture
def watch(origin: str) -> Iterator[Watch]:
    """What the pages of this test did wrong."""
    watch = Watch(origin)
    yield watch
    watch.check()


@pytest.fixture
def new_context(browser: Browser, origin: str, watch: Watch) -> Iterator[Any]:
    """Makes browser contexts that are watched."""
    contexts: list[BrowserContext] = []

    def make(**options: Any) -> BrowserContext:
        context = browser.new_context(
            **{"base_url": origin, "viewport": {"width": 1100, "height": 720}, **options}
        )
        context.set_default_timeout(PATIENCE_MILLISECONDS)
        watch.over(context)
        contexts.append(context)
        return context

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def page(new_context: Any) -> Page:
    """A page with scripts on."""
    page: Page = new_context().new_page()
    return page


@pytest.fixture
def chat(page: Page, upstream: Upstream) -> Chat:
    """The chat page, as a user has it before them."""
    chat = Chat(page)
    chat.open()
    return chat


@pytest.fixture
def plain(new_context: Any) -> Chat:
    """The chat page in a browser without JavaScript."""
    chat = Chat(new_context(java_script_enabled=False).new_page())
    chat.open()
    return chat
