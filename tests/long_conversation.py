"""A conversation of many turns, put where a server will find it."""

from collections.abc import Callable, Iterator

from sqlalchemy.ext.asyncio import AsyncSession

from app.tables import Conversation, Message, now

PARAGRAPH = "Some *words* about it, with `code` and a [link](https://example.org/). " * 4


def prompt(number: int) -> str:
    """What was asked in a turn; turns are counted from 1."""
    return f"Question {number}?"


def answer(number: int) -> str:
    """What was answered in a turn."""
    return f"Answer {number}.\n\n{PARAGRAPH}"


async def add_long_conversation(
    session: AsyncSession, turns: int, answering: Callable[[int], str] = answer
) -> Conversation:
    """Store a conversation of so many turns, all complete, of the user whose id is 1."""
    conversation = Conversation(user_id=1, title="A long one", created_at=now(), updated_at=now())
    session.add(conversation)
    await session.flush()
    parent: int | None = None
    for role, text in _said(turns, answering):
        message = Message(
            user_id=1,
            conversation_id=conversation.id,
            parent_id=parent,
            role=role,
            status="complete",
            text=text,
            model="scripted" if role == "assistant" else "",
            created_at=now(),
        )
        session.add(message)
        await session.flush()
        parent = message.id
    return conversation


def _said(turns: int, answering: Callable[[int], str]) -> Iterator[tuple[str, str]]:
    for number in range(1, turns + 1):
        yield "user", prompt(number)
        yield "assistant", answering(number)
