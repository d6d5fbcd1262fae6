"""What every test may have: settings of its own only, a scripted provider, a real server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI

from app.db import Database
from app.main import create_app
from app.markdown import parsers, python_parser
from app.providers.scripted import ScriptedProvider
from app.settings import Settings
from tests.postgres import NoPostgres, Postgres

E2E = Path(__file__).parent.parent / "e2e"


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test reads a key, an address or a `.env` that belongs to whoever runs it."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(Settings.model_config, "env_file", tmp_path / "none.env")


@pytest.fixture(params=["comrak", "python"], scope="module")
def parser(request: pytest.FixtureRequest) -> Iterator[str]:
    """Has Markdown parsed by each of the parsers there are, and names it."""
    name: str = request.param
    with pytest.MonkeyPatch.context() as patch:
        if name == "python":
            patch.setattr(parsers, "HAS_COMRAK", False)
            patch.setattr(parsers, "python_parser", python_parser, raising=False)
        yield name


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server, one for all tests of a process."""
    try:
        server = Postgres(fsync=False)
    except NoPostgres:
        pytest.skip("there is no PostgreSQL for this machine")
    with server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> str:
    """The address of an empty database on it."""
    return postgres.new_database()


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> str:
    """The name of a database on it that has our tables, and nothing in them."""
    url = postgres.new_database()

    async def migrate() -> None:
        database = Database(url)
        await database.upgrade()
        await database.close()

    # Apart: in the tests with a browser an event loop is running here already.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, migrate()).result()
    return str(Database(url).url.database)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of a module that names `STORES` over each of them."""
    if "store" in metafunc.fixturenames and hasattr(metafunc.module, "STORES"):
        metafunc.parametrize("store", metafunc.module.STORES, indirect=True)


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a new database; on a server it has its tables already."""
    if getattr(request, "param", "sqlite") == "postgresql":
        postgres: Postgres = request.getfixturevalue("postgres")
        return postgres.new_database(request.getfixturevalue("migrated"))
    return f"sqlite:///{tmp_path}/chat.db"


@pytest.fixture
def settings(store: str) -> Settings:
    return Settings(database_url=store)


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    database = Database(settings.database_url)
    await database.upgrade()
    yield database
    await database.close()


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider()


@pytest.fixture
def app(settings: Settings, provider: ScriptedProvider) -> FastAPI:
    return create_app(settings, provider=provider)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the application behind a real server: streams must stream."""
    async with serving(app) as url, httpx2.AsyncClient(base_url=url, timeout=10, trust_env=False) as client:
        yield client


class serving:  # noqa: N801 - reads as what it does
    """Serves an application on a free port of this machine while the block runs."""

    def __init__(self, app: FastAPI) -> None:
        config = uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=2)
        self._server = uvicorn.Server(config)

    async def __aenter__(self) -> str:
        started = asyncio.Event()
        startup = self._server.startup

        async def startup_and_tell(*arguments: object, **named: object) -> None:
            await startup(*arguments, **named)  # type: ignore[arg-type] # handed on as it came
            started.set()

        self._server.startup = startup_and_tell  # type: ignore[method-assign] # uvicorn has no other word for it
        self._task = asyncio.create_task(self._server.serve())
        waiting = asyncio.create_task(started.wait())
        await asyncio.wait({self._task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        assert self._server.started
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = True
        await self._task
