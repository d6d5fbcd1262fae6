"""A generator of one's own: whichever way it answers, and for as long as it says something."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, closing

import pytest

from app.providers import ChatMessage, Delta, ProviderError, prompt_llm_async
from app.providers.own import OwnProvider
from tests.providers.conftest import HELLO, hold_up


@pytest.mark.fault(6)
@pytest.mark.parametrize("pieces", [[], ["", Delta(finish="stop")]])
async def test_one_that_does_not_begin_is_given_up(pieces: list[str | Delta]) -> None:
    closed = asyncio.Event()

    async def my_model(messages: list[ChatMessage]) -> AsyncGenerator[str | Delta, None]:
        try:
            for piece in pieces:
                yield piece
            await asyncio.Event().wait()
        finally:
            closed.set()

    provider = OwnProvider(my_model, first_token_seconds=0.1)
    with pytest.raises(ProviderError, match="My model did not begin to answer"):
        [delta async for delta in prompt_llm_async(HELLO, provider=provider)]

    assert closed.is_set()


@pytest.mark.fault(7)
async def test_one_that_falls_silent_is_given_up_with_what_it_said() -> None:
    async def my_model(messages: list[ChatMessage]) -> AsyncGenerator[str, None]:
        yield "Half"
        await asyncio.Event().wait()

    provider = OwnProvider(my_model, idle_seconds=0.1)
    async with aclosing(prompt_llm_async(HELLO, provider=provider)) as said:
        assert await anext(said) == Delta(text="Half")
        with pytest.raises(ProviderError, match="fell silent"):
            await anext(said)


async def test_one_that_spoke_while_the_process_was_held_up_is_heard() -> None:
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_unix_connection(sock=ours)

    async def my_model(messages: list[ChatMessage]) -> AsyncGenerator[str, None]:
        while piece := await reader.read(100):
            yield piece.decode()

    theirs.send(b"Half")
    provider = OwnProvider(my_model, idle_seconds=0.2)
    with theirs, closing(writer):
        async with aclosing(prompt_llm_async(HELLO, provider=provider)) as said:
            assert await anext(said) == Delta(text="Half")
            rest = asyncio.ensure_future(anext(said))
            await asyncio.sleep(0)

            theirs.send(b" and half")
            hold_up(0.4)

            assert await rest == Delta(text=" and half")


def test_a_function_that_is_none_is_refused_at_once() -> None:
    def without_async(messages: list[ChatMessage]) -> Iterator[str]:
        yield "Hi"

    async def without_yield(messages: list[ChatMessage]) -> str:
        return "Hi"

    for function in (without_async, without_yield):
        with pytest.raises(TypeError, match=f"{function.__name__} is no async generator function"):
            OwnProvider(function)  # type: ignore[arg-type]  # as somebody without a type checker would


async def test_a_piece_that_is_none_is_nothing_and_not_the_end() -> None:
    async def my_model(messages: list[ChatMessage]) -> AsyncGenerator[str | None, None]:
        for piece in (None, "Half", None, " and half"):
            yield piece

    said = [delta async for delta in prompt_llm_async(HELLO, provider=OwnProvider(my_model))]

    assert said == [Delta(text="Half"), Delta(text=" and half")]


@pytest.mark.parametrize(("piece", "kind"), [(1, "int"), (b"x", "bytes"), (["secret"], "list")])
async def test_what_is_no_piece_is_named_and_not_told(piece: object, kind: str) -> None:
    async def my_model(messages: list[ChatMessage]) -> AsyncGenerator[object, None]:
        yield "Half"
        yield piece

    provider = OwnProvider(my_model)  # type: ignore[arg-type]  # as somebody without a type checker would
    with pytest.raises(TypeError) as raised:
        [delta async for delta in prompt_llm_async(HELLO, provider=provider)]

    assert str(raised.value) == f"my_model yielded {kind}: it may yield str, Delta or None"


def test_what_its_function_gives_is_not_the_function() -> None:
    async def my_model(messages: list[ChatMessage]) -> AsyncGenerator[str, None]:
        yield "Hi"

    with pytest.raises(TypeError, match=r"give `my_model`, and not `my_model\(\)`"):
        OwnProvider(my_model([]))  # type: ignore[arg-type]  # as somebody without a type checker would


def test_one_that_cannot_take_the_messages_is_refused_at_once() -> None:
    async def without_messages() -> AsyncGenerator[str, None]:
        yield "Hi"

    async def with_more(messages: list[ChatMessage], temperature: float) -> AsyncGenerator[str, None]:
        yield "Hi"

    for function in (without_messages, with_more):
        with pytest.raises(TypeError, match=f"{function.__name__} is called with the messages"):
            OwnProvider(function)  # type: ignore[arg-type]  # as somebody without a type checker would


async def test_its_own_timeout_is_its_own_fault() -> None:
    async def my_model(messages: list[ChatMessage]) -> AsyncGenerator[str, None]:
        yield "Half"
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        [delta async for delta in prompt_llm_async(HELLO, provider=OwnProvider(my_model))]


@pytest.mark.parametrize("nothing", [None, ""])
async def test_one_that_says_nothing_without_end_is_given_up(nothing: str | None) -> None:
    async def my_model(messages: list[ChatMessage]) -> AsyncGenerator[str | None, None]:
        while True:
            yield nothing

    provider = OwnProvider(my_model, first_token_seconds=0.1)
    with pytest.raises(ProviderError, match="My model did not begin to answer"):
        [delta async for delta in prompt_llm_async(HELLO, provider=provider)]
