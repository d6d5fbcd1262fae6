"""Pace: what models say behind their first words is read at one go, and its pauses are nobody's fault."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import pytest

from app.providers import Pace, ProviderError, prompt_llm_async
from app.providers.openai import OpenAIProvider
from tests.providers.conftest import HELLO, Connect
from tests.upstream import PAUSE, Pause, Upstream


class Taking:
    """An answer that is taken by a task of its own."""

    def __init__(self, provider: OpenAIProvider) -> None:
        self.said: list[str] = []
        self.begun = asyncio.Event()
        self.task = asyncio.create_task(self._take(provider))

    async def _take(self, provider: OpenAIProvider) -> None:
        async with aclosing(prompt_llm_async(HELLO, provider=provider)) as deltas:
            async for delta in deltas:
                self.said += [delta.text] if delta.text else []
                self.begun.set()


async def test_what_follows_the_first_words_is_read_when_it_is_time(
    upstream: Upstream, connect: Connect
) -> None:
    pace = Pace()
    upstream.will_say("One. ", PAUSE, "Two. ", "Three.", PAUSE)
    answer = Taking(connect(pace=pace))
    async with asyncio.timeout(5):
        await answer.begun.wait()

        upstream.go_on()
        await Taking(connect()).task
        assert answer.said == ["One. "]
        assert pace.kept

        await pace.go()
        assert answer.said == ["One. ", "Two. Three."]  # what came together is one piece
        upstream.go_on()
        while not answer.task.done():
            await pace.go()
            await asyncio.sleep(0)


async def test_who_has_waited_longest_reads_first_and_not_all_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.providers.pace.AT_ONCE", 2)
    pace = Pace()
    read: list[str] = []

    def reader(name: str) -> Callable[[], None]:
        return lambda: read.append(name)

    for name in "abc":
        pace.wait(reader(name))

    assert await pace.go()
    assert read == ["a", "b"]
    pace.wait(reader("a"))
    assert pace.kept
    assert not await pace.go()
    assert read == ["a", "b", "c"]  # the round ends, however many wait anew meanwhile
    assert not await pace.go()
    assert read == ["a", "b", "c", "a"]
    assert not pace.kept


async def test_a_server_is_not_silent_while_it_is_not_listened_to(
    upstream: Upstream, connect: Connect
) -> None:
    pace = Pace()
    upstream.will_say("One. ", PAUSE, "Two.")
    answer = Taking(connect(pace=pace, idle_seconds=0.05))
    async with asyncio.timeout(5):
        await answer.begun.wait()

        upstream.go_on()
        upstream.will_say("Some ", Pause(0.2), "time.")
        await Taking(connect()).task
        await pace.go()

        await answer.task
        assert answer.said == ["One. ", "Two."]


async def test_who_says_nothing_when_it_is_read_is_silent(upstream: Upstream, connect: Connect) -> None:
    pace = Pace()
    upstream.will_hang("One. ")
    answer = Taking(connect(pace=pace, idle_seconds=0.05))
    async with asyncio.timeout(5):
        await answer.begun.wait()

        await pace.go()

        with pytest.raises(ProviderError):
            await answer.task
    assert not pace.kept


async def test_an_answer_that_was_stopped_meanwhile_is_not_read(upstream: Upstream, connect: Connect) -> None:
    pace = Pace()
    upstream.will_hang("One. ")
    answer = Taking(connect(pace=pace))
    async with asyncio.timeout(5):
        await answer.begun.wait()
        answer.task.cancel()
        await asyncio.wait([answer.task])

        await pace.go()
        await asyncio.to_thread(upstream.wait_closed)

    assert not pace.kept
