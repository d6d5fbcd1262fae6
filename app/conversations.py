"""Conversations: every query and change of them. Each takes the user first; there is no unscoped way in."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import ColumnDefault, Insert, Row, bindparam, select, update
from sqlalchemy import delete as delete_rows
from sqlalchemy.ext.asyncio import AsyncSession

from app import branches
from app.tables import CONVERSATIONS, USERS, Conversation, Message, User, now

TITLE_CHARACTERS = 60
LISTED = 200
UNTITLED = "Untitled"

New = TypeVar("New", Conversation, Message)

# Made once, since to make a statement takes longer than to run it.
_MINE = (CONVERSATIONS.c.user_id == bindparam("user"), CONVERSATIONS.c.id == bindparam("conversation"))
_LISTED = (
    select(CONVERSATIONS.c.id, CONVERSATIONS.c.title)
    .where(CONVERSATIONS.c.user_id == bindparam("user"))
    .order_by(CONVERSATIONS.c.updated_at.desc(), CONVERSATIONS.c.id.desc())
    .limit(LISTED)
)
_FIND = select(Conversation).where(*_MINE)
_FIND_MESSAGE = select(Message).where(
    Message.user_id == bindparam("user"), Message.id == bindparam("message")
)
_SENT_WITH = select(Message).where(
    Message.user_id == bindparam("user"), Message.form_token == bindparam("token")
)
_LOCK = select(CONVERSATIONS.c.id).where(*_MINE).with_for_update(key_share=True)
_LOCK_USER = select(USERS.c.id).where(USERS.c.id == bindparam("user")).with_for_update(key_share=True)
_CHANGE = update(CONVERSATIONS).where(*_MINE)
_DRAFT = select(User.draft).where(User.id == bindparam("user"))
_CHANGE_USER = update(USERS).where(USERS.c.id == bindparam("user"))


class Busy(Exception):
    """An answer is still being written in this conversation."""


class TokenUsed(Exception):
    """The form token has already sent another prompt."""


class NotLast(Exception):
    """Only the newest answer of a conversation can be tried again, or gone on with."""


class NotBroken(Exception):
    """An answer that has ended as it should, or has no text, cannot be gone on with."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A prompt and the answer to it; `fresh` where this call created them."""

    conversation: Conversation
    prompt: Message
    answer: Message
    fresh: bool = True


async def listed(session: AsyncSession, user_id: int) -> Sequence[Row[int, str]]:
    """The id and the title of a user's conversations, the one that changed last first; at most `LISTED`."""
    return (await session.execute(_LISTED, {"user": user_id})).all()


async def find(session: AsyncSession, user_id: int, conversation_id: int) -> Conversation | None:
    """One conversation, if it is this user's."""
    return await session.scalar(_FIND, {"user": user_id, "conversation": conversation_id})


async def find_message(session: AsyncSession, user_id: int, message_id: int) -> Message | None:
    """One message, if it is this user's."""
    return await session.scalar(_FIND_MESSAGE, {"user": user_id, "message": message_id})


async def add_turn(
    session: AsyncSession,
    user_id: int,
    *,
    prompt: str,
    model: str,
    worker: str | None = None,
    conversation: Conversation | None = None,
    form_token: str | None = None,
    clears_draft: bool = True,
) -> Turn:
    """Store a prompt and an answer that `worker` is to write, in a new conversation if none is given.

    The same token with the same prompt gives the turn that it gave before. Raises TokenUsed if it
    sent another prompt, and Busy if an answer is being written in this conversation.
    """
    # Of two that send at once, the second waits here and then finds what the first has stored.
    await _lock(session, user_id, conversation.id if conversation else None)
    if form_token and (sent := await _sent_with(session, user_id, form_token)):
        if sent.prompt.text != prompt:
            raise TokenUsed
        return sent
    last: Message | None = None
    if conversation is None:
        conversation = await _added(
            session, Conversation, user_id=user_id, title=title_of(prompt), created_at=now(), updated_at=now()
        )
        if clears_draft:
            await session.execute(_CHANGE_USER, {"user": user_id, "draft": ""})
    else:
        messages = await branches.branch(session, user_id, conversation.id, most=1)
        last = messages[-1] if messages else None
        if last and last.running:
            raise Busy
        changes = {"updated_at": now(), **({"draft": ""} if clears_draft else {})}
        await session.execute(_CHANGE, {"user": user_id, "conversation": conversation.id, **changes})
    asked = await _added(
        session,
        Message,
        user_id=user_id,
        conversation_id=conversation.id,
        parent_id=last.id if last else None,
        role="user",
        status="complete",
        text=prompt,
        form_token=form_token,
        created_at=now(),
    )
    return Turn(conversation, asked, await _add_answer(session, asked, model, worker))


async def draft(session: AsyncSession, user_id: int) -> str:
    """What the user is writing in a conversation that is yet to begin."""
    return await session.scalar(_DRAFT, {"user": user_id}) or ""


async def keep_draft(
    session: AsyncSession, user_id: int, text: str, *, conversation_id: int | None, form_token: str | None
) -> None:
    """Keep what the user is writing, unless the form that holds it has been sent meanwhile."""
    await _lock(session, user_id, conversation_id)
    if form_token and await _sent_with(session, user_id, form_token):
        return
    if conversation_id is None:
        await session.execute(_CHANGE_USER, {"user": user_id, "draft": text})
    else:
        await session.execute(_CHANGE, {"user": user_id, "conversation": conversation_id, "draft": text})


async def retry(
    session: AsyncSession, user_id: int, message_id: int, *, model: str, worker: str | None = None
) -> Turn | None:
    """A second answer beside an earlier one, to the same prompt; None if there is no such answer.

    Raises Busy while an answer is being written there, and NotLast if the conversation went on.
    """
    found = await _last_answer(session, user_id, message_id)
    if found is None:
        return None
    conversation, prompt, _ = found
    conversation.updated_at = now()
    return Turn(conversation, prompt, await _add_answer(session, prompt, model, worker))


async def go_on(
    session: AsyncSession, user_id: int, message_id: int, *, worker: str | None = None
) -> Turn | None:
    """The same answer, to be gone on with from the text that it has; None if there is no such answer.

    Raises Busy and NotLast as `retry` does, and NotBroken if there is nothing to go on with.
    """
    found = await _last_answer(session, user_id, message_id)
    if found is None:
        return None
    conversation, prompt, answer = found
    if not answer.broken:
        raise NotBroken
    conversation.updated_at = now()
    answer.status, answer.error, answer.finish = "generating", "", None
    answer.worker, answer.attempt = worker, answer.attempt + 1
    await session.flush()
    return Turn(conversation, prompt, answer)


async def delete(session: AsyncSession, user_id: int, conversation_id: int) -> Sequence[int]:
    """Delete a conversation and all that is in it; the ids of answers that were still being written."""
    # A prompt that is just being stored is waited for, so that its answer is among those.
    await _lock(session, user_id, conversation_id)
    mine = (Message.user_id == user_id, Message.conversation_id == conversation_id)
    running = (await session.scalars(select(Message.id).where(*mine, Message.status == "generating"))).all()
    await session.execute(
        delete_rows(Conversation).where(Conversation.user_id == user_id, Conversation.id == conversation_id)
    )
    return running


def title_of(prompt: str) -> str:
    """A conversation's name: the first line of its first prompt, cut between words."""
    line = " ".join(prompt.strip().partition("\n")[0].split())
    if not any(character.isprintable() and not character.isspace() for character in line):
        return UNTITLED
    if len(line) <= TITLE_CHARACTERS:
        return line
    cut = line[: TITLE_CHARACTERS - 1]
    return (cut.rpartition(" ")[0] or cut) + "…"


async def _last_answer(
    session: AsyncSession, user_id: int, message_id: int
) -> tuple[Conversation, Message, Message] | None:
    """An answer that ends its conversation, with its prompt; until the transaction ends it stays the end."""
    mine = (Message.user_id == user_id, Message.id == message_id, Message.role == "assistant")
    conversation_id = await session.scalar(select(Message.conversation_id).where(*mine))
    if conversation_id is None:
        return None
    await _lock(session, user_id, conversation_id)
    conversation = await find(session, user_id, conversation_id)
    messages = await branches.branch(session, user_id, conversation_id, most=2)
    if conversation is None:
        return None
    if messages and messages[-1].running:
        raise Busy
    if len(messages) < 2 or messages[-1].id != message_id:
        raise NotLast
    return conversation, messages[-2], messages[-1]


async def _lock(session: AsyncSession, user_id: int, conversation_id: int | None) -> None:
    """Keep a conversation, or where there is none yet its user, from being changed by others meanwhile."""
    rows = _LOCK if conversation_id else _LOCK_USER
    await session.execute(rows, {"user": user_id, "conversation": conversation_id})


async def _add_answer(session: AsyncSession, asked: Message, model: str, worker: str | None) -> Message:
    return await _added(
        session,
        Message,
        user_id=asked.user_id,
        conversation_id=asked.conversation_id,
        parent_id=asked.id,
        role="assistant",
        status="generating",
        model=model,
        worker=worker,
        created_at=now(),
    )


async def _added(session: AsyncSession, kind: type[New], **values: object) -> New:
    """A new row, stored past the ORM, which takes three times as long; no session looks after it."""
    insert, defaults = _adding(kind)
    row = {**defaults, **values}
    added = await (await session.connection()).execute(insert, row)
    key: Any = added.inserted_primary_key
    return kind(id=key.id, **row)


@cache
def _adding(kind: type[New]) -> tuple[Insert, dict[str, object]]:
    table = kind.metadata.tables[kind.__tablename__]
    defaults = {one.key: one.default.arg for one in table.c if isinstance(one.default, ColumnDefault)}
    return table.insert(), defaults


async def _sent_with(session: AsyncSession, user_id: int, form_token: str) -> Turn | None:
    asked = await session.scalar(_SENT_WITH, {"user": user_id, "token": form_token})
    if asked is None:
        return None
    conversation = await find(session, user_id, asked.conversation_id)
    answers = select(Message).where(Message.user_id == user_id, Message.parent_id == asked.id)
    answer = await session.scalar(answers.order_by(Message.id.desc()).limit(1))
    return Turn(conversation, asked, answer, fresh=False) if conversation and answer else None
