"""Generation: stored before it is shown, ended once, and never tied to who asked."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from app import answers, conversations, polling
from app.db import Database
from app.generation import Answering, Generations
from app.providers import ChatMessage, Delta, Pace, ProviderError, Usage
from app.providers.scripted import PAUSE, ScriptedProvider
from app.states import Answer
from app.tables import Chunk, Message
from app.wakeups import WakeUps
from app.writer import pause_seconds, round_seconds

STORES = ("sqlite", "postgresql")

USER = 1


async def as_asked(session: AsyncSession, answer: Message) -> list[ChatMessage]:
    """What a model is sent, where that is not what is tested."""
    return [{"role": "user", "content": "Hi"}]


class Bench:
    """Generations over a real database, and a way to ask and to follow."""

    def __init__(
        self,
        database: Database,
        answering: Answering,
        answer_limit: int = 1000,
        clock: Callable[[], float] = monotonic,
        wakeups: WakeUps | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.database = database
        self.wakeups = wakeups or WakeUps()
        self.generations = Generations(
            database, self.wakeups, answering, as_asked, answer_limit=answer_limit, clock=clock, pace=pace
        )

    async def ask(self) -> int:
        async with self.database.writing() as session:
            turn = await conversations.add_turn(
                session, USER, prompt="Hi", model="m", worker=self.generations.worker
            )
            messages = await self.generations.prepare(session, turn.answer)
        self.generations.start(turn.answer, messages)
        return turn.answer.id

    async def hold_up(self) -> None:
        """Have the process say no word more, as if killed or stopped; `generations.open` wakes it up."""
        tasks, self.generations._tasks = self.generations._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def idle(self) -> None:
        """Wait until it writes no answer."""
        async with asyncio.timeout(10):
            await self.generations.drain(10)
        assert not self.generations.running

    def follow(self, message_id: int) -> AsyncGenerator[Answer, None]:
        return answers.follow(self.database, self.wakeups, USER, message_id)

    async def text_of(self, message_id: int) -> str:
        """Its first text, as soon as there is some."""
        async with asyncio.timeout(10), aclosing(self.follow(message_id)) as states:
            async for state in states:
                if state.text:
                    return state.text
        raise AssertionError("it ended without a text")

    async def end_of(self, message_id: int) -> Answer:
        async with asyncio.timeout(10), aclosing(self.follow(message_id)) as states:
            async for state in states:
                last = state
        return last

    async def stored(self, message_id: int) -> Message:
        async with self.database.reading() as session:
            message = await session.get(Message, message_id)
        assert message
        return message


@pytest.fixture
async def bench(database: Database, provider: ScriptedProvider) -> AsyncIterator[Bench]:
    bench = Bench(database, provider.stream)
    await bench.generations.open()
    yield bench
    await bench.generations.close()


async def test_a_model_whose_words_are_held_back_is_read_on_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.writer.BEAT_SECONDS", 3600)
    monkeypatch.setattr("app.writer.round_seconds", lambda answers: 0)
    pace = Pace()

    async def answering(messages: object) -> AsyncGenerator[Delta, None]:
        for text in ("Well, ", "\ud83d", "\ude00."):
            for _ in range(2_000):
                await asyncio.sleep(0)  # by then the writer has nothing to do
            yield Delta(text)
            read = asyncio.Event()
            pace.wait(read.set)
            await read.wait()

    bench = Bench(database, answering, pace=pace)
    await bench.generations.open()
    try:
        assert (await bench.end_of(await bench.ask())).text == "Well, 😀."
    finally:
        await bench.generations.close()


async def test_every_state_that_a_reader_sees_is_what_the_database_holds(
    bench: Bench, provider: ScriptedProvider
) -> None:
    provider.will_say("One ", PAUSE, "two ", PAUSE, "three")
    answer = await bench.ask()

    seen = []
    async with asyncio.timeout(10), aclosing(bench.follow(answer)) as states:
        async for state in states:
            async with bench.database.reading() as session:
                stored = await answers.read(session, USER, answer)
            assert stored
            assert stored.text.startswith(state.text)
            if state.text and state.text not in seen:
                seen.append(state.text)
                provider.go_on()

    assert seen[-1] == "One two three"
    assert {"One ", "One two "} <= set(seen)


async def test_at_the_end_the_chunks_have_become_the_text(bench: Bench, provider: ScriptedProvider) -> None:
    provider.will_say(
        "Hello ", Delta(reasoning="Hm, "), "there.", Delta(usage=Usage(3, 2)), Delta(finish="stop")
    )

    answer = await bench.ask()
    await bench.end_of(answer)

    stored = await bench.stored(answer)
    assert (stored.status, stored.text, stored.reasoning) == ("complete", "Hello there.", "Hm, ")
    assert (stored.finish, stored.prompt_tokens, stored.completion_tokens) == ("stop", 3, 2)
    async with bench.database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(Chunk)) == 0


async def test_many_answers_share_a_transaction(bench: Bench, provider: ScriptedProvider) -> None:
    for _ in range(20):
        provider.will_say(*["word "] * 50)

    commits: list[object] = []
    event.listen(bench.database.writer.sync_engine, "commit", commits.append)
    ids = [await bench.ask() for _ in range(20)]
    ended = [await bench.end_of(answer) for answer in ids]

    assert [answer.text for answer in ended] == ["word " * 50] * 20
    # Twenty for the prompts, and a few for a thousand pieces of text.
    assert len(commits) < 20 + 100


async def test_stop_is_acknowledged_when_it_is_stored_and_nothing_comes_after(
    bench: Bench, provider: ScriptedProvider
) -> None:
    provider.will_say("Kept ", PAUSE, "lost")
    answer = await bench.ask()
    await bench.text_of(answer)

    await asyncio.gather(bench.generations.stop(answer), bench.generations.stop(answer))
    provider.go_on()
    await bench.generations.stop(answer)

    stored = await bench.stored(answer)
    assert (stored.status, stored.text) == ("stopped", "Kept ")


async def test_what_ends_while_it_is_being_read_is_read_again(
    bench: Bench, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.will_say("One ", PAUSE, "two")
    answer = await bench.ask()
    await bench.text_of(answer)
    read, looks = answers.read, []

    async def overtaken(*what: Any) -> Answer | None:
        found = await read(*what)
        looks.append(found)
        if len(looks) == 1:
            provider.go_on()
            await bench.idle()
        return found

    monkeypatch.setattr(answers, "read", overtaken)

    ended = await bench.end_of(answer)

    assert looks[0]
    assert looks[0].running
    assert (ended.status, ended.text) == ("complete", "One two")


@pytest.mark.parametrize(("said", "status"), [((), "failed"), (("Half",), "interrupted")])
async def test_a_providers_failure_is_kept_in_its_own_words(
    bench: Bench, provider: ScriptedProvider, said: tuple[str, ...], status: str
) -> None:
    provider.will_say(*said, ProviderError("The model is away.", "unreachable"))

    ended = await bench.end_of(await bench.ask())

    assert (ended.status, ended.error, ended.text) == (status, "The model is away.", "".join(said))


async def test_a_fault_in_a_generator_is_told_without_its_details(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(messages: list[ChatMessage]) -> AsyncGenerator[Delta, None]:
        yield Delta(text="Half")
        raise RuntimeError("secret detail")

    bench = Bench(database, broken)
    await bench.generations.open()
    ended = await bench.end_of(await bench.ask())
    await bench.generations.close()

    assert ended.status == "interrupted"
    assert ended.text == "Half"
    assert "secret" not in ended.error
    assert "secret detail" in caplog.text


@pytest.mark.fault(13)
async def test_an_endless_answer_is_cut_at_the_limit_and_its_generator_closed(database: Database) -> None:
    closed = asyncio.Event()

    async def endless(messages: list[ChatMessage]) -> AsyncGenerator[Delta, None]:
        try:
            while True:
                yield Delta(text="x" * 99)
        finally:
            closed.set()

    bench = Bench(database, endless, answer_limit=1000)
    await bench.generations.open()
    answer = await bench.ask()
    ended = await bench.end_of(answer)
    await asyncio.wait_for(closed.wait(), 5)
    await bench.generations.close()

    assert len(ended.text) == 1000
    assert (await bench.stored(answer)).finish == "length"


async def test_at_shutdown_what_is_running_is_kept_as_interrupted(
    database: Database, provider: ScriptedProvider
) -> None:
    provider.will_say("Half an", PAUSE)
    bench = Bench(database, provider.stream)
    await bench.generations.open()
    answer = await bench.ask()
    await bench.text_of(answer)

    await bench.generations.close()

    stored = await bench.stored(answer)
    assert (stored.status, stored.text) == ("interrupted", "Half an")
    assert "server was stopped" in stored.error


async def test_deleting_a_conversation_ends_its_answer_and_its_readers(
    bench: Bench, provider: ScriptedProvider
) -> None:
    provider.will_say("Half", PAUSE, " more")
    answer = await bench.ask()
    stored = await bench.stored(answer)
    states = bench.follow(answer)
    async for state in states:
        if state.text:
            break

    async with bench.database.writing() as session:
        running = await conversations.delete(session, USER, stored.conversation_id)
    await bench.generations.forget(running)

    assert running == [answer]
    assert [state async for state in states] == []
    async with bench.database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(Message)) == 0
        assert await session.scalar(select(func.count()).select_from(Chunk)) == 0


async def test_readers_are_served_although_no_bell_rings(
    bench: Bench, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "POLL_SECONDS", 0.02)
    elsewhere = WakeUps()  # as in another process: nobody rings its bells
    looking = asyncio.create_task(polling.poll(bench.database, elsewhere))
    provider.will_say("All ", PAUSE, "of it.")
    states = []

    async with (
        asyncio.timeout(10),
        aclosing(answers.follow(bench.database, elsewhere, USER, await bench.ask())) as following,
    ):
        async for state in following:
            states.append(state)
            if state.text and state.running:
                provider.go_on()
    looking.cancel()

    ended = states[-1]

    assert ended.text == "All of it."


async def test_a_database_that_refuses_for_a_while_loses_nothing(
    bench: Bench,
    provider: ScriptedProvider,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    refused = asyncio.Event()
    append = answers.append

    async def refusing(*arguments: object) -> None:
        monkeypatch.setattr(answers, "append", append)
        refused.set()
        raise OperationalError("insert", None, Exception("database or disk is locked"))

    monkeypatch.setattr(answers, "append", refusing)
    provider.will_say("One ", "two.")

    ended = await bench.end_of(await bench.ask())

    assert refused.is_set()
    assert (ended.status, ended.text) == ("complete", "One two.")


@pytest.mark.parametrize(
    "poison",
    [Delta(usage=Usage(2**70, 1)), Delta(finish="\ud800")],
    ids=["a number too large", "half a character"],
)
async def test_what_cannot_be_stored_ends_its_own_answer_alone(
    bench: Bench, provider: ScriptedProvider, poison: Delta
) -> None:
    provider.will_say("Innocent", PAUSE, " and whole")
    provider.will_say(poison, "Poisoned", PAUSE)
    innocent = await bench.ask()
    poisoned = await bench.ask()
    await bench.text_of(poisoned)

    await bench.generations.stop(poisoned)
    provider.go_on()
    provider.go_on()

    assert (await bench.end_of(innocent)).text == "Innocent and whole"
    ended = await bench.end_of(poisoned)
    assert ended.status == "interrupted"
    assert "could not be stored" in ended.error


@pytest.mark.fault(13)
async def test_endless_reasoning_is_cut_at_the_limit(database: Database) -> None:
    async def thinking(messages: list[ChatMessage]) -> AsyncGenerator[Delta, None]:
        while True:
            yield Delta(reasoning="think " * 20)

    bench = Bench(database, thinking, answer_limit=1000)
    await bench.generations.open()
    ended = await bench.end_of(await bench.ask())
    await bench.generations.close()

    assert len(ended.reasoning) == 1000


async def test_an_answer_that_nobody_writes_can_be_stopped(bench: Bench) -> None:
    async with bench.database.writing() as session:
        turn = await conversations.add_turn(session, USER, prompt="Hi", model="m")

    await bench.generations.stop(turn.answer.id)

    assert (await bench.stored(turn.answer.id)).status == "stopped"


async def test_closing_amid_many_answers_keeps_every_word(
    database: Database, provider: ScriptedProvider
) -> None:
    async def hurried(messages: list[ChatMessage]) -> AsyncGenerator[Delta, None]:
        while True:
            yield Delta(text="word ")
            await asyncio.sleep(0)

    for _ in range(10):
        bench = Bench(database, hurried, answer_limit=1_000_000)
        await bench.generations.open()
        ids = [await bench.ask() for _ in range(3)]
        shown = [await bench.text_of(answer) for answer in ids]

        await asyncio.wait_for(bench.generations.close(), 10)

        for answer, text in zip(ids, shown, strict=True):
            stored = await bench.stored(answer)
            assert stored.status == "interrupted"
            assert stored.text.startswith(text)


async def test_thinking_written_into_the_text_is_stored_as_reasoning(
    bench: Bench, provider: ScriptedProvider
) -> None:
    provider.will_say("\n<thi", "nk>Hm", ".</th", "ink>\n\nYes", " <think>.")

    ended = await bench.end_of(await bench.ask())

    assert (ended.reasoning.strip(), ended.text) == ("Hm.", "Yes <think>.")


@pytest.mark.parametrize("pieces", [("<think>Hm.",), ("<think>Hm", "."), (Delta(reasoning="Hm."),)])
async def test_thinking_that_is_not_ended_is_reasoning_to_its_end(
    bench: Bench, provider: ScriptedProvider, pieces: tuple[str | Delta, ...]
) -> None:
    provider.will_say(*pieces)

    ended = await bench.end_of(await bench.ask())

    assert (ended.reasoning, ended.text) == ("Hm.", "")


async def test_what_was_held_back_as_half_a_tag_is_kept_when_the_model_fails(
    bench: Bench, provider: ScriptedProvider
) -> None:
    provider.will_say("<thi", ProviderError("The model is away.", "interrupted"))

    ended = await bench.end_of(await bench.ask())

    assert (ended.status, ended.text) == ("interrupted", "<thi")


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def thinking_for(clock: Clock, *script: float | Delta) -> Answering:
    """Says deltas, with seconds that pass between them."""

    async def answering(messages: list[ChatMessage]) -> AsyncGenerator[Delta, None]:
        for step in script:
            if isinstance(step, Delta):
                yield step
            else:
                clock.seconds += step

    return answering


@pytest.mark.parametrize(
    ("script", "seconds"),
    [
        ((5.0, Delta(reasoning="Hm"), 12.0, Delta(reasoning="."), 3.0, Delta(text="Yes"), 9.0), 15.0),
        ((5.0, Delta(text="<think>Hm."), 12.0, Delta(text="</think>\n"), 1.0, Delta(text="Yes")), 13.0),
        ((Delta(reasoning="Hm"), 12.0), 12.0),
        ((Delta(text="So"), 2.0, Delta(reasoning="Hm"), 12.0, Delta(text=" yes"), 7.0), 12.0),
        (
            (
                Delta(reasoning="Hm"),
                2.0,
                Delta(text="So"),
                4.0,
                Delta(reasoning="Hm"),
                8.0,
                Delta(text=" yes"),
            ),
            2.0,
        ),
        ((2.0, Delta(text="Yes"), 3.0), None),
        ((Delta(reasoning="\n"), 2.0, Delta(text="Yes"), 3.0), None),
    ],
)
async def test_how_long_it_thought_is_stored(
    database: Database, script: tuple[float | Delta, ...], seconds: float | None
) -> None:
    clock = Clock()
    bench = Bench(database, thinking_for(clock, *script), clock=clock)
    await bench.generations.open()
    answer = await bench.ask()
    ended = await bench.end_of(answer)
    await bench.generations.close()

    assert ended.reasoning_seconds == seconds
    assert (await bench.stored(answer)).reasoning_seconds == seconds


async def test_the_first_text_is_never_seen_without_how_long_it_thought(
    bench: Bench, provider: ScriptedProvider
) -> None:
    provider.will_say(Delta(reasoning="Hm."), PAUSE, "Yes", PAUSE, "!")
    answer = await bench.ask()

    states: list[Answer] = []
    async with asyncio.timeout(10), aclosing(bench.follow(answer)) as following:
        async for state in following:
            said = (state.text, state.reasoning)
            if any(said) and (not states or said != (states[-1].text, states[-1].reasoning)):
                provider.go_on()
            states.append(state)

    assert {bool(state.text) for state in states if state.running and state.reasoning} == {False, True}
    assert all((state.reasoning_seconds is not None) == bool(state.text) for state in states)


def test_some_answers_share_a_transaction_for_longer_and_very_many_for_less_long() -> None:
    assert round_seconds(1) == pytest.approx(0.05, rel=0.02)
    assert round_seconds(100) == pytest.approx(0.125)
    assert round_seconds(500) == pytest.approx(0.05)
    assert max(map(round_seconds, range(1000))) <= 0.126


async def test_a_round_takes_as_long_as_its_store(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    store, more = answers.append, 0.0
    took: list[float] = []

    async def stored_slowly(*arguments: Any) -> None:
        nonlocal more
        await store(*arguments)
        more += 3

    def noted(running: int, seconds: float) -> float:
        took.append(seconds)
        return 0

    monkeypatch.setattr(answers, "append", stored_slowly)
    monkeypatch.setattr("app.writer.monotonic", lambda: monotonic() + more)
    monkeypatch.setattr("app.writer.pause_seconds", noted)

    await bench.end_of(await bench.ask())
    assert max(took) >= 3


def test_a_writer_rests_for_half_a_round_however_long_one_took() -> None:
    assert pause_seconds(100, 0.025) == pytest.approx(0.1)
    assert pause_seconds(1, 3) == pytest.approx(round_seconds(1) / 2)
    assert pause_seconds(500, 0.2) == pytest.approx(0.025)
