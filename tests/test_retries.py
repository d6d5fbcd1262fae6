"""A model that turns a prompt away is asked again, a few times, and only before it has said anything."""

import asyncio
from contextlib import aclosing

import httpx2
import pytest
from fastapi import FastAPI

from app import answers
from app.deps import Chat
from app.generation import MOST_TRIES
from app.providers import ProviderError
from app.providers.scripted import PAUSE, ScriptedProvider
from app.states import Answer
from tests.pages import attributes, events, select
from tests.test_generation import USER, Bench, bench

__all__ = ["bench"]

HTMX = {"HX-Request": "true"}
BROWSER = {"Accept": "text/html"}


def overloaded(seconds: float | None = 0) -> ProviderError:
    return ProviderError("The model is overloaded.", "overloaded", retry_seconds=seconds)


@pytest.mark.fault(4)
async def test_an_overloaded_model_is_asked_again_and_answers(
    bench: Bench, provider: ScriptedProvider
) -> None:
    provider.will_say(overloaded())
    provider.will_say("Here.")

    ended = await bench.end_of(await bench.ask())

    assert (ended.status, ended.text, ended.error) == ("complete", "Here.", "")
    assert len(provider.asked) == 2


@pytest.mark.fault(3)
async def test_it_is_asked_so_often_and_no_more(bench: Bench, provider: ScriptedProvider) -> None:
    for _ in range(MOST_TRIES + 1):
        provider.will_say(overloaded())

    ended = await bench.end_of(await bench.ask())

    assert (ended.status, ended.error) == ("failed", "The model is overloaded.")
    assert len(provider.asked) == MOST_TRIES == 3


@pytest.mark.fault(3)
async def test_what_has_begun_to_answer_is_not_asked_again(bench: Bench, provider: ScriptedProvider) -> None:
    provider.will_say("Half", overloaded())

    ended = await bench.end_of(await bench.ask())

    assert (ended.status, ended.text) == ("interrupted", "Half")
    assert len(provider.asked) == 1


async def test_a_failure_that_would_come_again_is_told_at_once(
    bench: Bench, provider: ScriptedProvider
) -> None:
    provider.will_say(overloaded(None))

    assert (await bench.end_of(await bench.ask())).status == "failed"
    assert len(provider.asked) == 1


@pytest.mark.fault(3)
async def test_who_waits_is_told_for_what_and_may_stop(bench: Bench, provider: ScriptedProvider) -> None:
    provider.will_say(overloaded(30))
    answer = await bench.ask()

    waiting = await state_that_waits(bench, answer)
    await bench.generations.stop(answer)

    assert waiting.waiting == "The model is overloaded. Asking again in 30 s."
    stored = await bench.stored(answer)
    assert (stored.status, stored.waiting) == ("stopped", "")
    assert len(provider.asked) == 1


async def test_the_first_word_ends_the_waiting(bench: Bench, provider: ScriptedProvider) -> None:
    provider.will_say(overloaded(0.01))
    provider.will_say("Here", PAUSE)
    answer = await bench.ask()

    await bench.text_of(answer)

    assert (await bench.stored(answer)).waiting == ""


@pytest.mark.fault(3)
async def test_the_page_shows_the_wait_live_and_when_it_is_loaded(
    app: FastAPI, client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.will_say(overloaded(30))
    await client.post("/completion", data={"prompt": "Hi"}, headers=HTMX)
    chat: Chat = app.state.chat

    async with client.stream("GET", "/completion/2/fragments") as response:
        async for event in events(response):
            if event.data:
                break
    page = await client.get("/conversations/1")
    await chat.generations.stop(2)

    words = "The model is overloaded. Asking again in 30 s."
    assert "#message-2-waiting" in event.data
    assert words in event.data
    assert select(page, "#message-2-waiting") == [words]


async def state_that_waits(bench: Bench, message_id: int) -> Answer:
    async with (
        asyncio.timeout(10),
        aclosing(answers.follow(bench.database, bench.wakeups, USER, message_id)) as states,
    ):
        async for state in states:
            if state.waiting:
                return state
    raise AssertionError("it did not wait")


class TestContinue:
    """An answer that was cut short is gone on with where it ended."""

    @pytest.fixture
    async def broken(self, client: httpx2.AsyncClient, provider: ScriptedProvider) -> None:
        provider.will_say("Half an ", ProviderError("The model went away.", "interrupted"))
        async with client.stream("POST", "/completion", data={"prompt": "Hi"}) as response:
            assert [event.data async for event in events(response)][-1] == "interrupted"

    async def test_it_is_one_answer_in_the_end(
        self, client: httpx2.AsyncClient, provider: ScriptedProvider, broken: None
    ) -> None:
        provider.will_say("answer.", PAUSE)
        reply = await client.post("/messages/2/continue", headers=HTMX)
        async with client.stream("GET", "/completion/2", headers={"Last-Event-ID": "8"}) as response:
            stream = events(response)
            first = await anext(stream)
            provider.go_on()
            rest = [event.data async for event in stream]

        assert select(reply, "#message-2-blocks") == ["Half an"]
        assert attributes(reply, "article", "aria-busy") == ["true"]
        assert (first.id, first.data, rest) == ("15", "answer.", ["complete"])
        assert (await client.get("/messages/2/text")).text == "Half an answer."

    async def test_the_model_is_sent_what_there_is_and_told_to_go_on(
        self, client: httpx2.AsyncClient, provider: ScriptedProvider, broken: None
    ) -> None:
        provider.will_say("answer.")

        await client.post("/messages/2/continue")

        async with client.stream("GET", "/completion/2") as response:
            assert [event.data async for event in events(response)][-1] == "complete"
        *before, partial, word = provider.asked[-1]
        assert before[-1] == {"role": "user", "content": "Hi"}
        assert partial == {"role": "assistant", "content": "Half an "}
        assert (word["role"], "Go on exactly where it ended" in word["content"]) == ("user", True)

    async def test_a_model_that_goes_on_by_itself_is_sent_the_text_last(
        self, client: httpx2.AsyncClient, provider: ScriptedProvider, broken: None
    ) -> None:
        provider.prefills = True
        provider.will_say("answer.")

        await client.post("/messages/2/continue")

        async with client.stream("GET", "/completion/2") as response:
            assert [event.data async for event in events(response)][-1] == "complete"
        assert provider.asked[-1][-1] == {"role": "assistant", "content": "Half an "}

    async def test_without_scripts_it_leads_to_the_page_that_streams(
        self, client: httpx2.AsyncClient, provider: ScriptedProvider, broken: None
    ) -> None:
        page = await client.get("/conversations/1", headers=BROWSER)
        reply = await client.post("/messages/2/continue", headers=BROWSER)

        assert "/messages/2/continue" in attributes(page, ".actions form", "action")
        assert (reply.status_code, reply.headers["location"]) == (303, "/conversations/1/live")

    async def test_what_has_come_to_its_end_cannot_be_gone_on_with(
        self, client: httpx2.AsyncClient, provider: ScriptedProvider
    ) -> None:
        async with client.stream("POST", "/completion", data={"prompt": "Hi"}) as response:
            await response.aread()

        reply = await client.post("/messages/2/continue")

        assert reply.status_code == 409
        assert "nothing to go on with" in reply.json()["detail"]
        assert select(await client.get("/conversations/1"), ".continue") == []

    async def test_two_clicks_are_one_attempt(
        self, client: httpx2.AsyncClient, provider: ScriptedProvider, broken: None
    ) -> None:
        provider.will_say("answer.", PAUSE)

        replies = await asyncio.gather(*(client.post("/messages/2/continue") for _ in range(2)))
        provider.go_on()

        assert sorted(reply.status_code for reply in replies) == [303, 409]
        assert len(provider.asked) == 2

    async def test_it_can_break_off_and_be_gone_on_with_again(
        self, client: httpx2.AsyncClient, provider: ScriptedProvider, broken: None
    ) -> None:
        provider.will_say("ans", ProviderError("The model went away.", "interrupted"))
        provider.will_say("wer.")
        for ending in ("interrupted", "complete"):
            await client.post("/messages/2/continue")
            async with client.stream("GET", "/completion/2") as response:
                assert [event.data async for event in events(response)][-1] == ending

        assert (await client.get("/messages/2/text")).text == "Half an answer."
