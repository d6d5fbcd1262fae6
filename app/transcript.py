"""A transcript: a conversation's messages as its page shows them."""

from dataclasses import dataclass

from markupsafe import Markup
from sqlalchemy.ext.asyncio import AsyncSession

from app import answers, conversations
from app.fragments import page_blocks, shown
from app.tables import Message


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of a transcript.

    `html` is an answer's safe HTML, `position` the length in characters of the text that it shows,
    `earlier` the HTML of earlier tries at the same prompt, and `last` whether nothing follows.
    """

    message: Message
    text: str
    html: Markup
    reasoning: str
    earlier: tuple[Markup, ...] = ()
    last: bool = False

    @property
    def position(self) -> int:
        """Where the stream of a running answer goes on."""
        return len(self.text)


async def transcript(session: AsyncSession, user_id: int, conversation_id: int) -> list[Entry]:
    """The newest branch of a user's conversation."""
    messages = await conversations.branch(session, user_id, conversation_id)
    return [await _entry(session, user_id, message, last=message is messages[-1]) for message in messages]


async def entry(session: AsyncSession, user_id: int, message: Message) -> Entry:
    """One message, with its place in the conversation."""
    messages = await conversations.branch(session, user_id, message.conversation_id)
    return await _entry(session, user_id, message, last=bool(messages) and messages[-1].id == message.id)


async def _entry(session: AsyncSession, user_id: int, message: Message, *, last: bool) -> Entry:
    text, reasoning = message.text, message.reasoning
    if message.running and (answer := await answers.read(session, user_id, message.id)):
        text, reasoning = answer.text, answer.reasoning
    if message.role == "user":
        return Entry(message, text, Markup(), reasoning, last=last)
    html = await _html(message, text)
    others = await conversations.earlier_answers(session, user_id, message)
    earlier = tuple([await _html(other, other.text) for other in others])
    return Entry(message, text, html, reasoning, earlier, last)


async def _html(message: Message, text: str) -> Markup:
    place = str(message.id)
    return page_blocks(place, await shown(place, text, running=message.running))
