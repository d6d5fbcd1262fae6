"""A process that is told to end: what begins meanwhile does not keep it, and goes to others where it can."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import conversations
from app.conversations import Turn
from app.db import Database
from app.deps import Chat
from app.generation import Answering, Generations
from app.metrics import Metrics
from app.problems import Problem
from app.providers import ChatMessage, Delta
from app.providers.scripted import PAUSE, ScriptedProvider
from app.settings import Settings
from app.tables import Message
from app.wakeups import WakeUps
from tests.test_generation import USER, Bench, bench

STORES = ("sqlite", "postgresql")

__all__ = ["bench"]


def told_to_end_amid_a_transaction(database: Database, answering: Answering) -> Generations:
    """A process that is told to end just when it reads what a model is to be sent."""

    async def prompting(session: AsyncSession, answer: Message) -> list[ChatMessage]:
        await generations.drain(0)
        return []

    generations = Generations(database, WakeUps(), answering, prompting, answer_limit=1000)
    return generations


@pytest.mark.fault(31)
async def test_an_answer_that_begins_when_the_others_were_ended_is_ended_too(
    bench: Bench, provider: ScriptedProvider
) -> None:
    provider.will_say("Half", PAUSE)
    await bench.text_of(await bench.ask())
    async with bench.database.writing() as session:
        turn = await conversations.add_turn(
            session, USER, prompt="Hi", model="m", worker=bench.generations.worker
        )

    provider.will_say(PAUSE)
    closing = asyncio.create_task(bench.generations.close())
    await asyncio.sleep(0)
    bench.generations.start(turn.answer, [])
    await asyncio.wait_for(closing, 10)

    assert (await bench.stored(turn.answer.id)).status == "interrupted"
    assert len(provider.asked) == 1


@pytest.mark.fault(31)
async def test_a_generator_that_does_not_end_keeps_no_process_from_ending(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.generation.CLOSE_SECONDS", 0.1)
    ended = asyncio.Event()

    async def stubborn(messages: list[ChatMessage]) -> AsyncGenerator[Delta, None]:
        try:
            yield Delta(text="Half")
            await asyncio.Event().wait()
        finally:
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

    bench = Bench(database, stubborn)
    await bench.generations.open()
    answer = await bench.ask()
    await bench.text_of(answer)

    await asyncio.wait_for(bench.generations.close(), 10)

    stored = await bench.stored(answer)
    assert (stored.status, stored.text) == ("interrupted", "Half")
    await asyncio.wait_for(ended.wait(), 10)


@pytest.mark.fault(31)
async def test_a_prompt_that_waited_for_its_turn_until_the_process_ended_is_not_taken(
    database: Database, provider: ScriptedProvider, settings: Settings
) -> None:
    generations = told_to_end_amid_a_transaction(database, provider.stream)
    chat = Chat(settings, database, WakeUps(), generations, provider, Metrics())

    async def add_turn(session: AsyncSession) -> Turn:
        return await conversations.add_turn(session, USER, prompt="Hi", model="m")

    with pytest.raises(Problem, match="being restarted") as refused:
        await chat.begin(add_turn)

    assert refused.value.status == 503
    async with database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(Message)) == 0


@pytest.mark.fault(31)
async def test_what_is_taken_up_when_the_process_ends_is_left_to_the_next(
    database: Database, provider: ScriptedProvider
) -> None:
    async with database.writing() as session:
        turn = await conversations.add_turn(session, USER, prompt="Hi", model="m")
    ending = told_to_end_amid_a_transaction(database, provider.stream)
    await ending.open()
    try:
        async with asyncio.timeout(10):
            # It looks by itself, which only it can know.
            while not ending.draining:  # noqa: ASYNC110
                await asyncio.sleep(0)
    finally:
        await ending.close()

    async with database.reading() as session:
        left = await conversations.find_message(session, USER, turn.answer.id)
    assert left
    assert (left.status, left.worker) == ("generating", None)
    assert not provider.asked


@pytest.mark.fault(31)
async def test_a_process_that_waits_for_its_tables_ends_as_any_other(
    postgres_url: str, provider: ScriptedProvider
) -> None:
    without_tables = Database(postgres_url)
    waiting = Bench(without_tables, provider.stream)
    await waiting.generations.open()

    await waiting.generations.close()

    assert waiting.wakeups.closing.is_set()
    await without_tables.close()
