"""A transcript: a conversation's messages as its page shows them."""

from dataclasses import dataclass

from markupsafe import Markup
from sqlalchemy.ext.asyncio import AsyncSession

from app import answers, conversations
from app.fragments import page_blocks
from app.reasoning import thought
from app.renderings import shown
from app.states import Answer, Seen
from app.tables import Message

NOTHING = Markup()


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of a transcript.

    `html` is an answer's safe HTML and `reasoning` that of what the model thought before, `thought` says
    for how long; `position` is where the stream of a running answer goes on and `waiting` what that waits
    for, `earlier` the HTML of earlier tries at the same prompt, and `last` whether nothing follows.
    """

    message: Message
    text: str
    html: Markup = NOTHING
    reasoning: Markup = NOTHING
    thought: str = ""
    position: str = ""
    waiting: str = ""
    earlier: tuple[Markup, ...] = ()
    last: bool = False


async def transcript(session: AsyncSession, user_id: int, conversation_id: int) -> list[Entry]:
    """The newest branch of a user's conversation."""
    messages = await conversations.branch(session, user_id, conversation_id)
    return [await _entry(session, user_id, message, last=message is messages[-1]) for message in messages]


async def entry(session: AsyncSession, user_id: int, message: Message) -> Entry:
    """One message, with its place in the conversation."""
    messages = await conversations.branch(session, user_id, message.conversation_id)
    return await _entry(session, user_id, message, last=bool(messages) and messages[-1].id == message.id)


async def _entry(session: AsyncSession, user_id: int, message: Message, *, last: bool) -> Entry:
    if message.role == "user":
        return Entry(message, message.text, last=last)
    answer = Answer(message.status, message.text, message.reasoning, message.error, message.reasoning_seconds)
    if message.running:
        answer = await answers.read(session, user_id, message.id) or answer
    others = await conversations.earlier_answers(session, user_id, message)
    return Entry(
        message,
        answer.text,
        await _html(f"{message.id}", answer.text, running=answer.running),
        await _html(f"{message.id}r", answer.reasoning, running=answer.thinking),
        thought(answer.reasoning_seconds, running=message.running),
        str(Seen(len(answer.text), len(answer.reasoning))),
        answer.waiting,
        tuple([await _html(f"{other.id}", other.text, running=False) for other in others]),
        last,
    )


async def _html(place: str, text: str, *, running: bool) -> Markup:
    return page_blocks(place, await shown(place, text, running=running))
