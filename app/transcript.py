"""A transcript: a conversation's messages as its page shows them."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from sqlalchemy.ext.asyncio import AsyncSession

from app import answers, branches
from app.db import Database
from app.fragments import page_blocks
from app.reasoning import thought
from app.renderings import shown
from app.states import Answer, Seen
from app.tables import Message

NOTHING = Markup()

PAGE_LENGTH = 40_000
"""In characters: how much of a conversation a page shows at first; what is older follows when asked for."""

FRAME_LENGTH = 1_000
"""In characters, about: what stands around each message."""

TAKEN = 20
"""How many messages are read at once."""


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

    @property
    def length(self) -> int:
        """In characters of HTML, about; an answer's text stands there twice, to be copied."""
        earlier = sum(len(html) for html in self.earlier)
        return FRAME_LENGTH + len(self.text) + len(self.html) + len(self.reasoning) + earlier


@dataclass(frozen=True, slots=True)
class Transcript:
    """Messages that follow one another; `older` is the id of the one that stands before them, if one does."""

    entries: Sequence[Entry] = ()
    older: int | None = None

    @property
    def running(self) -> Entry | None:
        """The answer that is being written, if there is one."""
        return next((entry for entry in self.entries if entry.message.running), None)

    @property
    def after(self) -> int | None:
        """The id of the last message."""
        return self.entries[-1].message.id if self.entries else None


async def transcript(
    database: Database, user_id: int, conversation_id: int, *, until: int | None = None
) -> Transcript:
    """As much of the end of a user's conversation as a page shows at once, or of what ends with `until`.

    It begins with a prompt, and is at least that with its answer, however long.
    """
    entries: list[Entry] = []
    length = 0
    last, begin = until is None, until
    while True:
        async with database.reading() as session:
            messages = await branches.branch(session, user_id, conversation_id, until=begin, most=TAKEN)
            found = await _found(session, user_id, messages)
        for one in reversed(found):
            entry = await one.entry(last=last)
            length += entry.length
            if length > PAGE_LENGTH and entries and entries[-1].message.role == "user":
                return Transcript(entries[::-1], older=entry.message.id)
            entries.append(entry)
            last = False
        begin = messages[0].parent_id if messages else None
        if begin is None:
            return Transcript(entries[::-1])


def begun(prompt: Message, answer: Message) -> tuple[Entry, Entry]:
    """A prompt and its first answer, of which nothing is written yet, as the end of a conversation."""
    words = thought(None, running=True)
    return Entry(prompt, prompt.text), Entry(answer, "", thought=words, position=str(Seen()), last=True)


async def entry(database: Database, user_id: int, message: Message) -> Entry:
    """One message, with its place in the conversation."""
    async with database.reading() as session:
        newest = await branches.branch(session, user_id, message.conversation_id, most=1)
        (found,) = await _found(session, user_id, [message])
    return await found.entry(last=[message.id] == [one.id for one in newest])


@dataclass(frozen=True, slots=True)
class _Found:
    """What the database has of a message. No transaction is held while it is rendered."""

    message: Message
    answer: Answer
    earlier: Sequence[Message]

    async def entry(self, *, last: bool) -> Entry:
        """The message as its page shows it."""
        message, answer = self.message, self.answer
        if message.role == "user":
            return Entry(message, message.text, last=last)
        return Entry(
            message,
            answer.text,
            await _html(f"{message.id}", answer.text, running=answer.running),
            await _html(f"{message.id}r", answer.reasoning, running=answer.thinking),
            thought(answer.reasoning_seconds, running=message.running),
            str(Seen(len(answer.text), len(answer.reasoning))),
            answer.waiting,
            tuple([await _html(f"{other.id}", other.text, running=False) for other in self.earlier]),
            last,
        )


async def _found(session: AsyncSession, user_id: int, messages: Sequence[Message]) -> list[_Found]:
    earlier = await branches.earlier_answers(session, user_id, messages)
    found = []
    for message in messages:
        answer = Answer(
            message.status, message.text, message.reasoning, message.error, message.reasoning_seconds
        )
        if message.running:
            answer = await answers.read(session, user_id, message.id) or answer
        found.append(_Found(message, answer, earlier.get(message.id, ())))
    return found


async def _html(place: str, text: str, *, running: bool) -> Markup:
    return page_blocks(place, (await shown(place, text, running=running)).blocks)
