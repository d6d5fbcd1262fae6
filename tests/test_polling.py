"""Polling: what other processes write is read once for all readers here, and never with a gap."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from app import answers, conversations, polling
from app.answers import Ending, Piece
from app.db import Database
from app.states import Answer
from app.wakeups import WakeUps

STORES = ["sqlite", "postgresql"]
USER = 1


@pytest.fixture
async def answer(database: Database) -> int:
    """An answer that somebody else is writing."""
    async with database.writing() as session:
        turn = await conversations.add_turn(session, USER, prompt="Hi", model="", worker="other")
    return turn.answer.id


@pytest.fixture
async def wakeups(database: Database) -> AsyncIterator[WakeUps]:
    """The bells of a process that writes nothing."""
    wakeups = WakeUps()
    looking = asyncio.create_task(polling.poll(database, wakeups))
    yield wakeups
    wakeups.close()
    await looking


async def say(database: Database, wakeups: WakeUps, *pieces: Piece, ending: Ending | None = None) -> None:
    """Store what another process writes, and notify."""
    async with database.writing() as session:
        await answers.append(session, pieces)
        if ending:
            await answers.finish(session, pieces[0].message_id, ending)
    wakeups.note_changed([piece.message_id for piece in pieces])


async def test_many_readers_are_handed_what_one_look_found(
    database: Database, wakeups: WakeUps, answer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    read = answers.read

    async def counted(*arguments: Any) -> Answer | None:
        nonlocal looks
        looks += 1
        return await read(*arguments)

    monkeypatch.setattr(answers, "read", counted)
    arrived: asyncio.Queue[str] = asyncio.Queue()

    async def follow() -> list[Answer]:
        states = []
        async with aclosing(answers.follow(database, wakeups, USER, answer)) as following:
            async for state in following:
                states.append(state)
                arrived.put_nowait(state.text)
        return states

    async def all_have(text: str) -> None:
        assert [await arrived.get() for _ in readers] == [text] * len(readers)

    readers = [asyncio.create_task(follow()) for _ in range(10)]
    async with asyncio.timeout(10):
        await all_have("")
        await say(database, wakeups, Piece(answer, "text", 0, "One "), Piece(answer, "reasoning", 0, "Hm."))
        await all_have("One ")
        await say(database, wakeups, Piece(answer, "text", 4, "two "))
        await all_have("One two ")
        await say(database, wakeups, Piece(answer, "text", 8, "three."), ending=Ending("complete"))
        await all_have("One two three.")
        ended = [(await reader)[-1] for reader in readers]

    assert set(ended) == {Answer("complete", "One two three.", "Hm.")}
    assert looks == len(readers)
    assert not wakeups.followed


async def test_what_was_missed_is_not_passed_over(database: Database, answer: int) -> None:
    async with database.writing() as session:
        await answers.append(session, [Piece(answer, "text", 8, "three.")])

    async with database.reading() as session:
        found = await answers.read_on(session, {answer: Answer("generating", "One ")})

    assert found == {}


async def test_what_was_deleted_is_not_there(database: Database, answer: int) -> None:
    async with database.reading() as session:
        known = {answer: Answer("generating", "One "), answer + 1000: Answer("generating", "Gone")}
        found = await answers.read_on(session, known)

    assert found == {answer: Answer("generating", "One ")}


async def test_a_reader_who_has_seen_more_is_told_nothing_older(
    database: Database, wakeups: WakeUps, answer: int
) -> None:
    async with asyncio.timeout(10), aclosing(answers.follow(database, wakeups, USER, answer)) as following:
        await say(database, wakeups, Piece(answer, "text", 0, "One two."))
        assert (await anext(following)).text == "One two."
        wakeups.tell(answer, Answer("generating", "One "))
        await say(database, wakeups, Piece(answer, "text", 8, " More."))
        assert (await anext(following)).text == "One two. More."


async def test_the_database_is_not_asked_for_what_this_process_writes_itself(
    database: Database, answer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "POLL_SECONDS", 0)
    monkeypatch.setattr(polling, "ALL_LOOKS", 3)
    asked: list[list[int]] = []
    states = answers.states

    async def noted(session: Any, message_ids: list[int]) -> dict[int, tuple[object, ...]]:
        asked.append(list(message_ids))
        return await states(session, message_ids)

    monkeypatch.setattr(answers, "states", noted)
    wakeups = WakeUps()
    wakeups.committed[answer] = Answer("generating")
    looking = polling._Polling(wakeups)
    with wakeups.listening(answer), wakeups.listening(answer + 1):
        for _ in range(3):
            looking.due = 0
            await looking.look(database)

    assert asked == [[answer + 1], [answer + 1], [answer, answer + 1]]


async def test_where_all_that_is_read_is_written_here_nothing_is_asked(
    database: Database, answer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def asked(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(answers, "states", asked)
    monkeypatch.setattr(answers, "read_on", asked)
    wakeups = WakeUps()
    wakeups.committed[answer] = Answer("generating")
    looking = polling._Polling(wakeups)
    looking.due = 0
    with wakeups.listening(answer):
        await looking.look(database)
