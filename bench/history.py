"""A conversation that has had some turns: what was said in it, and how it comes into a database."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from app.db import Database
from bench.text import SAMPLE
from tests.long_conversation import add_long_conversation, prompt


def prompts(turns: int) -> Iterator[str]:
    """What was asked in each."""
    return (prompt(number) for number in range(1, turns + 1))


def answers(turns: int) -> Iterator[str]:
    """What was answered: the sample, 1.8 kB of Markdown."""
    return (answer(number) for number in range(1, turns + 1))


def answer(number: int) -> str:
    """What was answered in a turn."""
    return f"Answer {number}.\n\n{SAMPLE}"


def stored(url: str, turns: int) -> int:
    """Store such a conversation in a database that has its tables; its id."""

    async def store() -> int:
        database = Database(url)
        try:
            async with database.writing() as session:
                conversation = await add_long_conversation(session, turns, answer)
                return conversation.id
        finally:
            await database.close()

    # In a thread of its own: the browser's event loop may be running here.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, store()).result()
