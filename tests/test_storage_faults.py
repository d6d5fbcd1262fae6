"""Storage that fails: told in words, nothing half stored, nothing typed lost, and well again by itself."""

import asyncio
import logging
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from bs4 import BeautifulSoup
from fastapi import FastAPI
from sqlalchemy import text

from app import conversations, engines, leases, writer
from app.answers import Ending
from app.db import Database, Unavailable
from app.leases import LOOKS, Lookout
from app.main import create_app
from app.providers.scripted import PAUSE, ScriptedProvider
from app.settings import Settings
from app.tables import now
from tests.conftest import serving
from tests.postgres import Postgres
from tests.storage import Ills, locked
from tests.test_generation import Bench

BROWSER = {"Accept": "text/html"}
HTMX = {"HX-Request": "true"}
LONG = "All work and no play. " * 5000
TOKEN = "the token of a form"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for a lock."""
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.2)
    monkeypatch.setattr("app.writer.RETRY_SECONDS", 0.01)


@pytest.fixture
def ills(app: FastAPI, client: httpx2.AsyncClient) -> Ills:
    database: Database = app.state.chat.database
    return Ills(database.writer.sync_engine)


@pytest.fixture
async def bench(hurried: None, database: Database, provider: ScriptedProvider) -> AsyncIterator[Bench]:
    bench = Bench(database, provider.stream, answer_limit=1_000_000)
    await bench.generations.open()
    yield bench
    await bench.generations.close()


class Refusals(logging.Handler):
    """Knows when answers could not be stored."""

    def __init__(self) -> None:
        super().__init__()
        self.first = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of it."""
        if "could not be stored" in record.getMessage():
            self.first.set()

    async def wait(self) -> None:
        """Wait for it."""
        async with asyncio.timeout(10):
            await self.first.wait()


@pytest.fixture
def refusals() -> Iterator[Refusals]:
    refusals = Refusals()
    logging.getLogger("app.writer").addHandler(refusals)
    yield refusals
    logging.getLogger("app.writer").removeHandler(refusals)


def fields(html: str) -> dict[str, str]:
    """What the composer of a page would send."""
    form = BeautifulSoup(html, "html.parser").select_one("form:has(textarea[name=prompt])")
    assert form
    area = form.select_one("textarea")
    assert area
    hidden = {str(field["name"]): str(field["value"]) for field in form.select("input[type=hidden]")}
    return {**hidden, "prompt": area.text.removeprefix("\n")}


def rows(path: Path, query: str = "select text from messages where role = 'user' order by id") -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute(query)]


def move(path: Path, name: str) -> None:
    """Give a file another name."""
    path.rename(path.with_name(name))


def listed(path: Path) -> list[Path]:
    """What is beside a file."""
    return list(path.parent.iterdir())


def damage(path: Path, table: str) -> None:
    """Overwrite the first page of a table."""
    (page,) = rows(path, f"select rootpage from sqlite_master where name = '{table}'")  # noqa: S608 - a name of ours
    (size,) = rows(path, "pragma page_size")
    with path.open("r+b") as file:
        file.seek((int(page) - 1) * int(size))
        file.write(b"\xff" * int(size))


async def refused_in_every_way(
    client: httpx2.AsyncClient, prompt: str, status: int, sentence: str, path: Path
) -> None:
    """Whoever sends a prompt now is told so, keeps the text, and leaves nothing behind."""
    before = rows(path, "select count(*) from messages")
    form = {"prompt": prompt, "form_token": TOKEN, "after": ""}
    for headers in ({}, HTMX, BROWSER):
        response = await client.post("/completion", data=form, headers=headers)
        assert (response.status_code, response.headers["Retry-After"]) == (status, "5")
        assert sentence in response.text
        if headers == BROWSER:
            assert fields(response.text)["prompt"] == prompt
            assert fields(response.text)["form_token"] == TOKEN
    assert rows(path, "select count(*) from messages") == before


async def accepted(client: httpx2.AsyncClient, prompt: str, path: Path) -> None:
    """The same form does now what it should have done, once."""
    form = {"prompt": prompt, "form_token": TOKEN, "after": ""}
    for _ in range(2):
        response = await client.post("/completion", data=form, headers=BROWSER)
        assert response.status_code == 303
    assert rows(path).count(prompt) == 1


@pytest.mark.fault(35)
@pytest.mark.usefixtures("hurried")
async def test_a_prompt_while_another_process_holds_the_lock(client: httpx2.AsyncClient, path: Path) -> None:
    with locked(path):
        await refused_in_every_way(client, "Do not lose me", 503, "The database is busy", path)

    await accepted(client, "Do not lose me", path)


@pytest.mark.fault(35)
@pytest.mark.usefixtures("hurried")
async def test_who_waits_for_a_turn_waits_no_longer_than_the_limit(settings: Settings) -> None:
    database = Database(settings.database_url)
    await database.upgrade()

    async with database.writing():
        with pytest.raises(Unavailable, match="busy"):
            async with database.writing():
                raise AssertionError("there is one turn")

    await database.close()


@pytest.mark.fault(35)
async def test_the_wait_for_a_turn_and_that_for_a_lock_are_one(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 0.0
    monkeypatch.setattr(engines, "monotonic", lambda: clock)

    async def left() -> int:
        async with database.writing() as session:
            return await session.scalar(text("pragma busy_timeout")) or 0

    async with database.writing():
        waiting = asyncio.create_task(left())
        await asyncio.sleep(0)
        clock = engines.BUSY_SECONDS - 1.5

    assert await waiting == 1500


@pytest.mark.fault(35)
async def test_a_running_answer_goes_on_when_the_lock_is_released_and_loses_nothing(
    bench: Bench, provider: ScriptedProvider, refusals: Refusals, path: Path
) -> None:
    provider.will_say("One ", PAUSE, "two ", "three.")
    answer = await bench.ask()
    assert await bench.text_of(answer) == "One "

    with locked(path):
        provider.go_on()
        await refusals.wait()
        assert rows(path, "select text from chunks") == ["One "]

    ended = await bench.end_of(answer)
    assert (ended.status, ended.text) == ("complete", "One two three.")


@pytest.mark.fault(36)
async def test_a_prompt_while_the_disk_is_full(client: httpx2.AsyncClient, ills: Ills, path: Path) -> None:
    ills.now = "full"
    await refused_in_every_way(client, LONG, 507, "The disk is full", path)

    ills.now = "well"
    await accepted(client, LONG, path)


@pytest.mark.fault(36)
async def test_a_prompt_while_nothing_can_be_written(
    client: httpx2.AsyncClient, ills: Ills, path: Path
) -> None:
    ills.now = "read-only"
    await refused_in_every_way(client, "Do not lose me", 503, "cannot be written to", path)

    ills.now = "well"
    await accepted(client, "Do not lose me", path)


@pytest.mark.fault(37)
async def test_an_answer_that_no_longer_fits_ends_with_what_is_stored_once_there_is_space(
    bench: Bench, provider: ScriptedProvider, refusals: Refusals, path: Path
) -> None:
    ills = Ills(bench.database.writer.sync_engine)
    provider.will_say("Shown. ", PAUSE, LONG, PAUSE, "Never asked for.")
    answer = await bench.ask()
    assert await bench.text_of(answer) == "Shown. "

    ills.now = "full"
    provider.go_on()
    await refusals.wait()

    (running,) = bench.generations._writer.running.values()
    assert running.task
    await asyncio.wait([running.task], timeout=10)
    assert running.task.done(), "the model is asked no further"
    assert rows(path, "select text from chunks") == ["Shown. "]
    assert bench.wakeups.committed[answer].text == "Shown. "
    assert rows(path, "pragma integrity_check") == ["ok"]

    ills.now = "well"
    ended = await bench.end_of(answer)
    assert (ended.status, ended.error) == ("interrupted", writer.REFUSED)
    assert ended.text == "Shown. " + LONG
    assert (await bench.stored(answer)).text == ended.text
    assert rows(path, "pragma integrity_check") == ["ok"]


@pytest.mark.fault(38)
async def test_a_file_that_is_taken_away_while_the_server_runs(
    client: httpx2.AsyncClient, path: Path
) -> None:
    move(path, "away.db")

    ready = await client.get("/readyz")
    assert (ready.status_code, "moved or deleted" in ready.text) == (503, True)
    for headers in ({}, HTMX, BROWSER):
        form = {"prompt": "Do not lose me", "form_token": TOKEN}
        response = await client.post("/completion", data=form, headers=headers)
        assert response.status_code == 503
        assert "moved or deleted" in response.text
    assert fields(response.text)["prompt"] == "Do not lose me"
    assert {one.name for one in listed(path)} <= {"away.db", "chat.db-wal", "chat.db-shm"}

    move(path.with_name("away.db"), "chat.db")
    assert (await client.get("/readyz")).status_code == 200
    await accepted(client, "Do not lose me", path)


@pytest.mark.fault(38)
async def test_a_file_that_is_replaced_while_the_server_runs(client: httpx2.AsyncClient, path: Path) -> None:
    other = path.with_name("other.db")
    shutil.copy(path, other)
    other.replace(path)

    assert (await client.get("/readyz")).status_code == 503
    response = await client.post("/completion", data={"prompt": "Not into a stranger's file"})

    assert (response.status_code, "moved or deleted" in response.text) == (503, True)


@pytest.mark.fault(38)
async def test_a_damaged_page_is_told_in_words(settings: Settings, path: Path) -> None:
    database = Database(settings.database_url)
    await database.upgrade()
    await database.close()
    damage(path, "conversations")

    app = create_app(settings, provider=ScriptedProvider())
    async with serving(app) as url, httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        form = {"prompt": "Do not lose me", "form_token": TOKEN}
        response = await client.post("/completion", data=form, headers=BROWSER)

    assert response.status_code == 503
    assert "file is damaged" in response.text
    assert fields(response.text)["prompt"] == "Do not lose me"


@pytest.mark.fault(42)
async def test_a_clock_that_jumps_changes_no_order(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = ""
    for number, days in enumerate((0, -1, 1, -1, 0)):
        monkeypatch.setattr(conversations, "now", lambda days=days: now() + timedelta(days=days))
        response = await client.post(
            "/completion", data={"prompt": f"Prompt {number}", "conversation": conversation}
        )
        conversation = response.headers["X-Conversation-Id"]
        assert "event: done\ndata: complete" in response.text

    page = BeautifulSoup((await client.get("/conversations/1", headers=BROWSER)).text, "html.parser")

    said = [article.text.strip() for article in page.select("article[data-role=user] .said")]
    assert said == [f"Prompt {number}" for number in range(5)]


@pytest.mark.fault(42)
@pytest.mark.parametrize("days", [-1, 1])
async def test_a_clock_that_jumps_ends_no_lease(
    bench: Bench, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    provider.will_say("One ", PAUSE, "two.")
    lookout = Lookout(bench.database, "another process")
    answer = await bench.ask()
    await bench.text_of(answer)
    jumped = now() + timedelta(days=days)
    monkeypatch.setattr(conversations, "now", lambda: jumped)
    monkeypatch.setattr("time.time", jumped.timestamp)

    for _ in range(3 * LOOKS):
        async with bench.database.writing() as session:
            await leases.beat(session, bench.generations.worker or "")
        assert await lookout.look([]) == []
    provider.go_on()

    ended = await bench.end_of(answer)
    assert (ended.status, ended.text) == ("complete", "One two.")


@pytest.mark.fault(39)
async def test_a_database_that_stays_away_ends_what_is_written(
    bench: Bench, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.01)
    provider.will_say("Kept", PAUSE, " more", PAUSE)
    answer = await bench.ask()
    await bench.text_of(answer)
    storing = Database.storing
    refused = asyncio.Event()

    def away(self: Database) -> object:
        refused.set()
        raise Unavailable("The database is away.")

    monkeypatch.setattr(Database, "storing", away)
    provider.go_on()
    async with asyncio.timeout(10):
        await refused.wait()
        await asyncio.gather(*(one.task for one in bench.generations._writer.running.values() if one.task))
    monkeypatch.setattr(Database, "storing", storing)

    ended = await bench.end_of(answer)
    assert (ended.status, ended.text, ended.error) == ("interrupted", "Kept more", writer.REFUSED)


@pytest.mark.fault(37)
async def test_an_answer_whose_end_cannot_be_stored_either_keeps_no_server_from_ending(
    bench: Bench, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.will_say("Kept", PAUSE)
    answer = await bench.ask()
    await bench.text_of(answer)

    def broken(self: Database) -> object:
        raise RuntimeError("No statement of this program makes sense.")

    with monkeypatch.context() as patch:
        patch.setattr(Database, "storing", broken)
        bench.generations._writer.running[answer].end(Ending("interrupted"))
        bench.generations._writer.wake(urgent=True)
        await bench.idle()


@pytest.mark.fault(39)
async def test_without_scripts_a_text_outlives_a_database_that_is_gone(
    provider: ScriptedProvider,
) -> None:
    with Postgres(fsync=False) as postgres:
        url = postgres.new_database()
        database = Database(url)
        await database.upgrade()
        await database.close()
        app = create_app(Settings(database_url=url), provider=provider)
        async with (
            serving(app) as address,
            httpx2.AsyncClient(base_url=address, timeout=30, trust_env=False) as client,
        ):
            first = await client.post("/completion", data={"prompt": "One"})
            form = {
                "prompt": "\nDo not <b>lose</b> me",
                "conversation": first.headers["X-Conversation-Id"],
                "after": "2",
                "form_token": TOKEN,
            }
            postgres.stop()

            refused = await client.post("/completion", data=form, headers=BROWSER)
            stopped = await client.post("/completion/2/stop", data=form, headers=BROWSER)
            postgres.start()

            for response in (refused, stopped):
                assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
                assert "cannot be reached" in response.text
                assert fields(response.text) == form
            for _ in range(2):
                again = await client.post("/completion", data=fields(refused.text), headers=BROWSER)
                assert again.headers["Location"] == "/conversations/1/live"
            async with Database(url).reading() as session:
                asked = await session.scalars(
                    text("select text from messages where role = 'user' order by id")
                )
                assert list(asked) == ["One", form["prompt"]]
