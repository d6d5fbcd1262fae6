"""Leases: a dead process's answers end with their text, a living one's do not, a late write is refused."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import func, select, text

from app import answers, conversations, leases
from app.answers import Ending, Piece
from app.db import Database, Unavailable
from app.leases import LOOKS, UNCLAIMED_LOOKS, Lookout
from app.providers.scripted import PAUSE, ScriptedProvider
from app.tables import Chunk, Message, Worker
from app.wakeups import WakeUps
from tests.storage import locked
from tests.test_generation import USER, Bench

STORES = ("sqlite", "postgresql")


@pytest.fixture
def lookout(database: Database) -> Lookout:
    """Looks when it is told to."""
    return Lookout(database, "the one that looks")


@pytest.fixture
async def first(database: Database, provider: ScriptedProvider) -> AsyncIterator[Bench]:
    """A process that has shown some words of an answer."""
    provider.will_say("Half an", PAUSE, " answer", PAUSE)
    bench = Bench(database, provider.stream)
    await bench.generations.open()
    yield bench
    await bench.generations.close()


async def look(lookout: Lookout, times: int = LOOKS + 1) -> list[int]:
    return [changed for _ in range(times) for changed in await lookout.look([])]


async def test_a_silent_processs_answer_is_interrupted_with_its_text(first: Bench, lookout: Lookout) -> None:
    answer = await first.ask()
    await first.text_of(answer)
    await first.hold_up()

    assert await look(lookout) == [answer]

    ended = await first.stored(answer)
    assert (ended.status, ended.text) == ("interrupted", "Half an")
    assert "server was stopped" in ended.error


async def test_a_process_that_wakes_up_late_can_write_no_more(
    first: Bench, lookout: Lookout, provider: ScriptedProvider
) -> None:
    answer = await first.ask()
    await first.text_of(answer)
    await first.hold_up()
    await look(lookout)

    provider.go_on()
    await first.generations.open()
    await first.idle()

    ended = await first.stored(answer)
    assert (ended.status, ended.text) == ("interrupted", "Half an")
    async with first.database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(Chunk)) == 0


async def test_a_late_write_does_not_reach_the_next_attempt(
    first: Bench, lookout: Lookout, provider: ScriptedProvider
) -> None:
    answer = await first.ask()
    await first.text_of(answer)
    await first.hold_up()
    await look(lookout)
    async with first.database.writing() as session:
        await conversations.go_on(session, USER, answer, worker=first.generations.worker)

    provider.go_on()
    await first.generations.open()
    await first.idle()

    gone_on_with = await first.stored(answer)
    assert (gone_on_with.status, gone_on_with.text, gone_on_with.attempt) == ("generating", "Half an", 2)
    async with first.database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(Chunk)) == 0


async def test_an_answer_gone_on_with_where_its_end_was_not_noticed_yet_asks_one_model_only(
    first: Bench, provider: ScriptedProvider
) -> None:
    answer = await first.ask()
    await first.text_of(answer)
    before = first.generations._writer.running[answer]
    provider.will_say(" and more")

    async with first.database.writing() as session:
        assert await answers.finish(session, answer, Ending("stopped"))
    async with first.database.writing() as session:
        turn = await conversations.go_on(session, USER, answer, worker=first.generations.worker)
    assert turn
    first.generations.start(turn.answer, [])

    assert (await first.end_of(answer)).text == "Half an and more"
    assert before.task
    assert before.task.done()
    assert before.stored.is_set()


async def test_a_process_that_beats_keeps_its_answers(first: Bench, lookout: Lookout) -> None:
    answer = await first.ask()
    await first.text_of(answer)

    for _ in range(3 * LOOKS):
        async with first.database.writing() as session:
            await leases.beat(session, first.generations.worker or "")
        assert await lookout.look([]) == []

    assert (await first.stored(answer)).status == "generating"


async def test_a_quiet_answer_beats_by_itself(first: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.writer.BEAT_SECONDS", 0.01)
    await first.text_of(await first.ask())

    async def beat() -> int:
        async with first.database.reading() as session:
            return await session.scalar(select(Worker.beat)) or 0

    before = await beat()
    async with asyncio.timeout(10):
        # A beat is for other processes, which can only look.
        while await beat() < before + 3:  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_looks_that_could_not_be_taken_do_not_count(first: Bench, lookout: Lookout) -> None:
    answer = await first.ask()
    await first.text_of(answer)
    await first.hold_up()

    for _ in range(3):
        assert await look(lookout, LOOKS) == []
        lookout.forget()

    assert (await first.stored(answer)).status == "generating"


@pytest.mark.fault(35)
async def test_looks_while_another_holds_the_lock_do_not_count(
    first: Bench, lookout: Lookout, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = first.database.path
    if path is None:
        pytest.skip("there a transaction keeps only rows of its own")
    answer = await first.ask()
    await first.text_of(answer)
    await first.hold_up()
    monkeypatch.setattr("app.engines.BUSY_SECONDS", 0.1)

    # Before the last one, so that who waits for the lock is let in before the answer could be ended.
    with locked(path), pytest.raises(Unavailable):
        await look(lookout, LOOKS)
    lookout.forget()

    assert await look(lookout, LOOKS) == []
    assert await look(lookout, 1) == [answer]


async def test_an_answer_that_its_own_process_forgot_is_interrupted(database: Database) -> None:
    async with database.writing() as session:
        turn = await conversations.add_turn(session, USER, prompt="Hi", model="m", worker="me")
    mine = Lookout(database, "me")

    assert await look(mine) == [turn.answer.id]


async def test_an_answer_that_is_running_here_is_not_taken_for_forgotten(database: Database) -> None:
    async with database.writing() as session:
        turn = await conversations.add_turn(session, USER, prompt="Hi", model="m", worker="me")
    mine = Lookout(database, "me")

    for _ in range(2 * LOOKS):
        assert await mine.look([turn.answer.id]) == []


async def test_an_answer_that_nobody_takes_up_fails_in_words(database: Database, lookout: Lookout) -> None:
    async with database.writing() as session:
        turn = await conversations.add_turn(session, USER, prompt="Hi", model="m")

    assert await look(lookout, UNCLAIMED_LOOKS) == []
    assert await look(lookout, 1) == [turn.answer.id]

    async with database.reading() as session:
        failed = await conversations.find_message(session, USER, turn.answer.id)
    assert failed
    assert failed.status == "failed"
    assert "python -m app worker" in failed.error


async def test_an_answer_that_nobody_goes_on_with_keeps_its_text_and_can_be_gone_on_with(
    database: Database, lookout: Lookout
) -> None:
    async with database.writing() as session:
        turn = await conversations.add_turn(session, USER, prompt="Hi", model="m")
        await answers.append(session, [Piece(turn.answer.id, "text", 0, "Half")])
        await answers.finish(session, turn.answer.id, Ending("interrupted"))
    async with database.writing() as session:
        await conversations.go_on(session, USER, turn.answer.id)

    assert await look(lookout, UNCLAIMED_LOOKS + 1) == [turn.answer.id]

    async with database.reading() as session:
        ended = await conversations.find_message(session, USER, turn.answer.id)
    assert ended
    assert (ended.status, ended.text, ended.broken) == ("interrupted", "Half", True)
    assert "python -m app worker" in ended.error


async def test_an_unclaimed_answer_is_taken_up_once(database: Database, provider: ScriptedProvider) -> None:
    async with database.writing() as session:
        turn = await conversations.add_turn(session, USER, prompt="Hi", model="m")
    provider.will_say("Here.")
    wakeups = WakeUps()
    several = [Bench(database, provider.stream, wakeups=wakeups) for _ in range(3)]
    for bench in several:
        await bench.generations.open()

    ended = await several[0].end_of(turn.answer.id)

    for bench in several:
        await bench.generations.close()
    assert (ended.status, ended.text) == ("complete", "Here.")
    assert len(provider.asked) == 1


@pytest.mark.fault(34)
async def test_a_process_that_is_stopped_within_a_transaction_keeps_no_answer_locked(
    first: Bench, lookout: Lookout, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if store.startswith("sqlite"):
        pytest.skip("a file's lock is let go of by its process alone")
    answer = await first.ask()
    await first.text_of(answer)
    await first.hold_up()
    monkeypatch.setattr("app.engines.IDLE_SECONDS", 1)
    stopped = Database(store)
    ended: list[int] = []

    async def write_and_stop() -> None:
        async with stopped.writing() as session:
            await leases.beat(session, first.generations.worker or "")
            await answers.held(session, first.generations.worker or "", [answer])
            while not ended:
                ended.extend(await look(lookout))

    with pytest.raises(Unavailable):
        await write_and_stop()

    assert ended == [answer]
    await stopped.close()


@pytest.mark.fault(34)
async def test_who_writes_and_who_ends_lock_in_the_same_order(
    first: Bench, provider: ScriptedProvider, store: str
) -> None:
    if store.startswith("sqlite"):
        pytest.skip("one transaction writes at a time")
    answer = await first.ask()
    await first.text_of(answer)
    waits = text("select count(*) from pg_stat_activity where wait_event_type = 'Lock'")

    async with first.database.writing() as session, asyncio.timeout(10):
        await session.scalar(select(Worker.beat).with_for_update())
        first.generations._writer.look_again()
        provider.go_on()
        async with first.database.writer.connect() as other:
            other = await other.execution_options(isolation_level="AUTOCOMMIT")
            while not await other.scalar(waits):
                await session.execute(text("select 1"))
        # It waits for its beat, and holds no answer meanwhile.
        await session.execute(select(Message.id).with_for_update(nowait=True))
        assert await answers.finish(session, answer, Ending("interrupted"))

    assert (await first.end_of(answer)).text == "Half an"
    await first.idle()


@pytest.mark.fault(35)
async def test_requests_that_wait_for_a_lock_keep_no_answer_from_being_stored(
    first: Bench, provider: ScriptedProvider, store: str
) -> None:
    if store.startswith("sqlite"):
        pytest.skip("one transaction writes at a time")
    answer = await first.ask()
    await first.text_of(answer)
    waiting, over = asyncio.Semaphore(0), asyncio.Event()

    async def wait() -> None:
        async with first.database.writing() as session:
            await session.execute(text("select 1"))
            waiting.release()
            await over.wait()

    requests = [asyncio.create_task(wait()) for _ in range(10)]
    for _ in requests:
        await waiting.acquire()

    provider.go_on()
    provider.go_on()

    assert (await first.end_of(answer)).text == "Half an answer"
    over.set()
    # On a slow machine they have been ended meanwhile, for they do nothing.
    await asyncio.gather(*requests, return_exceptions=True)
