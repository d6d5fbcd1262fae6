"""Storage that misbehaves: what is refused is said in words, and nothing that was taken is lost."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from app import conversations, db, tables, writer
from app.db import Database, Unavailable
from app.deps import Chat
from app.leases import LOOKS, Lookout
from app.providers.scripted import PAUSE, ScriptedProvider
from app.running import Running
from tests.pages import events, select
from tests.test_generation import USER, Bench, bench

__all__ = ["bench"]

BROWSER = {"Accept": "text/html"}
HTMX = {"HX-Request": "true"}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that is busy is not waited for for long."""
    monkeypatch.setattr(db, "BUSY_SECONDS", 0.05)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process holds SQLite's write lock."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def limited(app: FastAPI, *pragmas: str) -> None:
    """Have SQLite refuse to write: `max_page_count` is its own word for a full disk."""
    chat: Chat = app.state.chat
    # Not in a transaction, which one that may only read could not begin.
    engine = chat.database.writer.execution_options(isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        raw: Any = (await connection.get_raw_connection()).driver_connection
        for pragma in pragmas:
            await raw.execute(f"PRAGMA {pragma}")


@pytest.mark.fault(35)
@pytest.mark.parametrize("headers", [BROWSER, HTMX, {}], ids=["browser", "htmx", "program"])
async def test_a_busy_database_refuses_a_prompt_and_keeps_its_text(
    impatient: None, tmp_path: Path, client: httpx2.AsyncClient, headers: dict[str, str]
) -> None:
    await client.get("/")
    with locked(tmp_path / "chat.db"):
        refused = await client.post("/completion", data={"prompt": "Mine"}, headers=headers)

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert "database is busy" in refused.text
    if headers == BROWSER:
        assert select(refused, "textarea[name=prompt]") == ["Mine"]
    assert select(await client.get("/"), "#conversations a") == []
    assert "You said: Mine" in (await client.post("/completion", data={"prompt": "Mine"})).text


@pytest.mark.fault(35)
async def test_a_running_answer_outlasts_a_busy_database(
    impatient: None, tmp_path: Path, client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.will_say("One ", PAUSE, "two ", "three.")
    async with client.stream("POST", "/completion", data={"prompt": "Go"}) as response:
        stream = events(response)
        await anext(stream)
        with locked(tmp_path / "chat.db"):
            provider.go_on()
            refused = await client.post("/completion", data={"prompt": "Now?"})
        rest = [event.data async for event in stream]

    assert refused.status_code == 503
    assert rest[-1] == "complete"
    assert (await client.get("/messages/2/text")).text == "One two three."


@pytest.mark.fault(36)
@pytest.mark.parametrize(
    ("pragma", "back", "status", "words"),
    [
        ("max_page_count=1", "max_page_count=1000000", 507, "disk is full"),
        ("query_only=1", "query_only=0", 503, "cannot be written to"),
    ],
    ids=["full", "read-only"],
)
async def test_a_prompt_that_cannot_be_stored_is_not_taken_and_its_text_stays(
    app: FastAPI, client: httpx2.AsyncClient, pragma: str, back: str, status: int, words: str
) -> None:
    prompt = "Mine " * 2000
    await limited(app, pragma)

    page = await client.post("/completion", data={"prompt": prompt}, headers=BROWSER)
    fragment = await client.post("/completion", data={"prompt": prompt}, headers=HTMX)

    assert (page.status_code, fragment.status_code) == (status, status)
    assert words in select(fragment, ".problem")[0]
    assert select(page, "textarea[name=prompt]") == [prompt.strip()]
    await limited(app, back)
    assert "complete" in (await client.post("/completion", data={"prompt": prompt})).text
    assert len(select(await client.get("/"), "#conversations a")) == 1


@pytest.mark.fault(37)
async def test_what_cannot_be_stored_is_not_shown_and_its_answer_ends(
    app: FastAPI,
    client: httpx2.AsyncClient,
    provider: ScriptedProvider,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.01)
    chat: Chat = app.state.chat
    lost = "lost " * 20_000
    provider.will_say("Kept. ", PAUSE, lost, PAUSE)
    async with client.stream("POST", "/completion", data={"prompt": "Go"}) as response:
        stream = events(response)
        assert (await anext(stream)).data == "Kept. "
        await limited(app, "max_page_count=1")
        provider.go_on()
        # Its task ends, and with it the connection to the model, although that cannot be stored yet.
        async with asyncio.timeout(10):
            await asyncio.gather(*(one.task for one in running(chat) if one.task))
        await limited(app, "max_page_count=1000000")
        rest = [event async for event in stream]

    assert [event.data for event in rest[-2:]] == [writer.REFUSED, "interrupted"]
    stored = (await client.get("/messages/2/text")).text
    assert stored == "Kept. " + "".join(event.data for event in rest[:-2])
    with closing(sqlite3.connect(tmp_path / "chat.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def running(chat: Chat) -> list[Running]:
    return list(chat.generations._writer.running.values())


@pytest.mark.fault(39)
async def test_a_database_that_stays_away_ends_what_is_written(
    bench: Bench, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.01)
    provider.will_say("Kept", PAUSE, " more", PAUSE)
    answer = await bench.ask()
    await bench.text_of(answer)
    writing = Database.writing
    refused = asyncio.Event()

    def away(self: Database) -> object:
        refused.set()
        raise Unavailable("The database is away.")

    monkeypatch.setattr(Database, "writing", away)
    provider.go_on()
    async with asyncio.timeout(10):
        await refused.wait()
        await asyncio.gather(*(one.task for one in bench.generations._writer.running.values() if one.task))
    monkeypatch.setattr(Database, "writing", writing)

    ended = await bench.end_of(answer)
    assert (ended.status, ended.text, ended.error) == ("interrupted", "Kept more", writer.REFUSED)


@pytest.mark.fault(38)
@pytest.mark.parametrize("gone", [True, False], ids=["deleted", "replaced"])
async def test_a_database_whose_file_is_gone_takes_nothing_more(
    client: httpx2.AsyncClient, tmp_path: Path, gone: bool
) -> None:
    await client.post("/completion", data={"prompt": "Hi"})
    (tmp_path / "chat.db").rename(tmp_path / "moved.db")
    if not gone:
        (tmp_path / "chat.db").write_bytes(b"")

    refused = await client.post("/completion", data={"prompt": "Mine"}, headers=BROWSER)
    unready = await client.get("/readyz")
    (tmp_path / "moved.db").rename(tmp_path / "chat.db")

    assert (refused.status_code, unready.status_code) == (503, 503)
    assert "moved or deleted" in refused.text
    assert "moved or deleted" in unready.text
    assert select(refused, "textarea[name=prompt]") == ["Mine"]
    assert (await client.get("/readyz")).text == "ok\n"


@pytest.mark.fault(39)
async def test_without_scripts_a_text_is_kept_even_if_nothing_can_be_read(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Database, "reading", away)
    monkeypatch.setattr(Database, "writing", away)
    form = {"prompt": "<b>Mine</b>", "conversation": "7", "form_token": "t"}

    refused = await client.post("/completion", data=form, headers=BROWSER)

    assert refused.status_code == 503
    assert select(refused, "form textarea[name=prompt]") == ["<b>Mine</b>"]
    assert 'name="conversation" value="7"' in refused.text
    assert 'name="form_token" value="t"' in refused.text


def away(self: Database) -> object:
    raise Unavailable("The database is away.")


@pytest.mark.fault(42)
@pytest.mark.parametrize("jump", [timedelta(days=1), timedelta(days=-1)], ids=["ahead", "back"])
async def test_a_clock_that_jumps_changes_no_order_and_no_lease(
    bench: Bench, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch, jump: timedelta
) -> None:
    provider.will_say("One ", PAUSE, "two.")
    answer = await bench.ask()
    await bench.text_of(answer)
    before = tables.now()
    monkeypatch.setattr(conversations, "now", lambda: before + jump)
    elsewhere = Lookout(bench.database, "another host")

    for _ in range(LOOKS - 1):
        assert await elsewhere.look([]) == []
    provider.go_on()
    ended = await bench.end_of(answer)
    stored = await bench.stored(answer)
    async with bench.database.writing() as session:
        first = await conversations.find(session, USER, stored.conversation_id)
        await conversations.add_turn(session, USER, prompt="Later", model="m", conversation=first)
    async with bench.database.reading() as session:
        branch = await conversations.branch(session, USER, stored.conversation_id)

    assert ended.text == "One two."
    assert [message.text for message in branch if message.role == "user"] == ["Hi", "Later"]
