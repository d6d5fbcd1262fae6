"""The provider that says what it is told to."""

import asyncio
from contextlib import aclosing

import pytest

from app.providers import Delta, ProviderError, prompt_llm_async
from app.providers.scripted import PAUSE, ScriptedProvider
from tests.providers.conftest import HELLO


async def text_of(provider: ScriptedProvider) -> str:
    return "".join([str(delta) async for delta in prompt_llm_async(HELLO, provider=provider)])


async def test_it_says_what_was_queued_in_order_and_keeps_what_it_was_asked() -> None:
    provider = ScriptedProvider()
    provider.will_say("One. ", "Two.")
    provider.will_say("Three.")

    assert [await text_of(provider), await text_of(provider)] == ["One. Two.", "Three."]
    assert provider.asked == [HELLO, HELLO]


async def test_a_script_is_said_every_time() -> None:
    provider = ScriptedProvider(["Always ", "this."])

    assert [await text_of(provider), await text_of(provider)] == ["Always this."] * 2


async def test_with_nothing_to_say_it_repeats_the_prompt() -> None:
    assert await text_of(ScriptedProvider()) == "You said: Hello"


async def test_it_pauses_until_told_to_go_on() -> None:
    provider = ScriptedProvider()
    provider.will_say("One. ", PAUSE, "Two.")

    async with aclosing(provider.stream(HELLO)) as deltas:
        assert await anext(deltas) == Delta(text="One. ")
        following = asyncio.ensure_future(anext(deltas))
        await asyncio.sleep(0)
        assert not following.done()
        provider.go_on()
        assert await following == Delta(text="Two.")


async def test_it_fails_where_the_script_says() -> None:
    provider = ScriptedProvider(["One. ", ProviderError("Sorry.", "overloaded")])

    with pytest.raises(ProviderError, match="Sorry"):
        await text_of(provider)


async def test_it_ends_as_the_script_says() -> None:
    provider = ScriptedProvider(["One. ", Delta(finish="length")])

    assert [delta.finish async for delta in provider.stream(HELLO) if delta.finish] == ["length"]
