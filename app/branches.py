"""Branches: the messages of a conversation along the newest path through their tree."""

from collections.abc import Sequence
from functools import cache

from sqlalchemy import CTE, BigInteger, Integer, Row, Select, bindparam, func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.tables import MESSAGES, Message, Role


async def branch(
    session: AsyncSession,
    user_id: int,
    conversation_id: int,
    *,
    until: int | None = None,
    most: int | None = None,
) -> Sequence[Message]:
    """The messages of the newest branch in order, up to and with message `until`; the last `most` of them.

    What was stored last ends that branch, since only what comes last is answered or tried again.
    """
    rows = _branch(to_the_end=until is None, whole=most is None)
    asked = {"user": user_id, "conversation": conversation_id, "until": until, "most": most}
    return (await session.scalars(rows, asked)).all()


async def said(
    session: AsyncSession, user_id: int, conversation_id: int, *, until: int | None
) -> Sequence[Row[Role, str]]:
    """The role and the text of each message of the newest branch, up to and with message `until`."""
    asked = {"user": user_id, "conversation": conversation_id, "until": until}
    return (await session.execute(_said(), asked)).all()


async def earlier_answers(
    session: AsyncSession, user_id: int, messages: Sequence[Message]
) -> dict[int, list[Message]]:
    """Earlier tries at the prompts of these answers that left some text, oldest first, by answer."""
    answers = {message.parent_id: message for message in messages if message.role == "assistant"}
    rows = select(Message).where(
        Message.user_id == user_id, Message.parent_id.in_(answers), Message.text != ""
    )
    earlier: dict[int, list[Message]] = {}
    for other in await session.scalars(rows.order_by(Message.id)):
        if other.id < (answer := answers[other.parent_id]).id:
            earlier.setdefault(answer.id, []).append(other)
    return earlier


# What finds a branch is made once, since to make it takes longer than to run it.


@cache
def _branch(*, to_the_end: bool, whole: bool) -> Select[Message]:
    path = _path(to_the_end=to_the_end, whole=whole)
    return select(Message).join(path, Message.id == path.c.id).order_by(path.c.number.desc())


@cache
def _said() -> Select[Role, str]:
    path = _path(to_the_end=False, whole=True)
    rows = select(MESSAGES.c.role, MESSAGES.c.text).join(path, MESSAGES.c.id == path.c.id)
    return rows.order_by(path.c.number.desc())


def _path(*, to_the_end: bool, whole: bool) -> CTE:
    """The ids of a branch, with their numbers counted from its end."""
    mine = (
        MESSAGES.c.user_id == bindparam("user", type_=BigInteger),
        MESSAGES.c.conversation_id == bindparam("conversation", type_=BigInteger),
    )
    newest = select(func.max(MESSAGES.c.id)).where(*mine).scalar_subquery()
    last = select(MESSAGES.c.id, MESSAGES.c.parent_id, literal(1).label("number")).where(
        *mine, MESSAGES.c.id == (newest if to_the_end else bindparam("until", type_=BigInteger))
    )
    path = last.cte("path", recursive=True)
    before = select(MESSAGES.c.id, MESSAGES.c.parent_id, path.c.number + 1).join(
        path, MESSAGES.c.id == path.c.parent_id
    )
    return path.union_all(before if whole else before.where(path.c.number < bindparam("most", type_=Integer)))
