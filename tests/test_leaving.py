"""A process that ends while an answer goes on elsewhere sends its readers there."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI

from app.db import Database
from app.deps import Chat
from app.providers.scripted import PAUSE, ScriptedProvider
from tests.test_generation import Bench

STORES = ("sqlite", "postgresql")


@pytest.fixture
async def elsewhere(database: Database) -> AsyncIterator[Bench]:
    """Another process, which has begun an answer: number 2, in conversation 1."""
    provider = ScriptedProvider()
    provider.will_say("Half an", PAUSE)
    bench = Bench(database, provider.stream)
    await bench.generations.open()
    await bench.text_of(await bench.ask())
    yield bench
    await bench.generations.close()


async def said_until_the_end(app: FastAPI, client: httpx2.AsyncClient, address: str) -> str:
    """What a reader is sent, of whom the process takes leave once it has shown some words."""
    chat: Chat = app.state.chat
    said = ""
    async with asyncio.timeout(10), client.stream("GET", address) as response:
        async for piece in response.aiter_text():
            said += piece
            if "Half an" in said and not chat.wakeups.closing.is_set():
                await chat.generations.close()
    return said


@pytest.mark.fault(31)
@pytest.mark.parametrize("address", ["/completion/2", "/completion/2/fragments"])
async def test_a_stream_ends_without_being_done_and_says_when_to_come_back(
    app: FastAPI, client: httpx2.AsyncClient, elsewhere: Bench, address: str
) -> None:
    said = await said_until_the_end(app, client, address)

    assert said.rstrip().endswith("retry: 500")
    assert "event: done" not in said


@pytest.mark.fault(31)
async def test_a_page_without_scripts_loads_anew(
    app: FastAPI, client: httpx2.AsyncClient, elsewhere: Bench
) -> None:
    said = await said_until_the_end(app, client, "/conversations/1/live")

    assert '<meta http-equiv="refresh" content="2">' in said
    assert '<a href="">Go on reading</a>' in said
    assert said.rstrip().endswith("</html>")


async def test_the_answer_itself_goes_on(app: FastAPI, client: httpx2.AsyncClient, elsewhere: Bench) -> None:
    await said_until_the_end(app, client, "/completion/2")

    assert (await elsewhere.stored(2)).status == "generating"
