"""The text of answers: chunks while they run, one text at the end; and how readers follow it."""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sqlalchemy import bindparam, case, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.chunks import new_chunks
from app.db import Database, Statements, Unavailable
from app.states import Answer
from app.tables import CHUNKS, MESSAGES, Chunk, Message, Status
from app.wakeups import WakeUps

RETRY_SECONDS = 1.0
"""How long a reader waits before it asks a database again that refused."""

STOPPED = "The server was stopped while this was being written."

# Made once, since to make a statement takes longer than to run it.
_HELD = (
    select(MESSAGES.c.id, MESSAGES.c.attempt)
    .where(
        MESSAGES.c.status == "generating",
        MESSAGES.c.worker == bindparam("by"),
        MESSAGES.c.id.between(bindparam("first"), bindparam("last")),
    )
    .order_by(MESSAGES.c.id)
    .with_for_update(read=True, key_share=True)
)
_TO_BE_ENDED = (
    select(MESSAGES.c.text, MESSAGES.c.reasoning)
    .where(MESSAGES.c.id == bindparam("answer"), MESSAGES.c.status == "generating")
    .with_for_update()
)
_WHOLE = select(
    MESSAGES.c.text, MESSAGES.c.reasoning, MESSAGES.c.reasoning_seconds, MESSAGES.c.waiting
).where(MESSAGES.c.id == bindparam("answer"))
_SET = update(MESSAGES).where(MESSAGES.c.id == bindparam("answer"))
_READ = select(
    MESSAGES.c.status,
    MESSAGES.c.text,
    MESSAGES.c.reasoning,
    MESSAGES.c.error,
    MESSAGES.c.reasoning_seconds,
    MESSAGES.c.waiting,
).where(
    MESSAGES.c.user_id == bindparam("user"),
    MESSAGES.c.id == bindparam("answer"),
    MESSAGES.c.role == "assistant",
)
_ADD_CHUNKS = CHUNKS.insert()
_CLEAR_CHUNKS = delete(CHUNKS).where(CHUNKS.c.message_id == bindparam("answer"))


class Piece(NamedTuple):
    """Text to be added to an answer, at a position in characters."""

    message_id: int
    kind: Literal["text", "reasoning"]
    position: int
    text: str

    @property
    def row(self) -> dict[str, Any]:
        """As it is stored."""
        return {
            "message_id": self.message_id,
            "kind": self.kind,
            "position": self.position,
            "text": self.text,
        }


@dataclass(frozen=True, slots=True)
class Ending:
    """How an answer ended; `error` is a sentence for the person who asked."""

    status: Status
    error: str = ""
    finish: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


async def held(session: Statements, worker: str, message_ids: Sequence[int]) -> dict[int, int]:
    """Which of these answers this worker may write to, each with its attempt; maybe others between them.

    Those that are missing have ended, were deleted, or are somebody else's. What is said holds until the
    transaction ends: whoever wants to end an answer (`finish`) waits for it.
    """
    if not message_ids:
        return {}
    # By their range and not one by one: that is one statement, whatever their number.
    between = {"by": worker, "first": min(message_ids), "last": max(message_ids)}
    return dict((await session.execute(_HELD, between)).all())


async def append(session: Statements, pieces: Sequence[Piece]) -> None:
    """Store pieces of answers that are still running."""
    if pieces:
        await session.execute(_ADD_CHUNKS, [piece.row for piece in pieces])


async def whole(session: Statements, message_id: int) -> Answer:
    """What is stored of an answer that this process writes."""
    row = (await session.execute(_WHOLE, {"answer": message_id})).one()
    base = Answer("generating", row.text, row.reasoning, "", row.reasoning_seconds, row.waiting)
    return await _read_chunks(session, message_id, base)


async def note(session: Statements, message_id: int, **values: object) -> None:
    """Set columns of an answer: how long its reasoning took, what it waits for."""
    await session.execute(_SET, {"answer": message_id, **values})


async def finish(session: Statements, message_id: int, ending: Ending) -> bool:
    """Turn a running answer's chunks into its text, and say how it ended; False if it had ended.

    An answer ends once, whoever says so, and no chunk comes after that.
    """
    row = (await session.execute(_TO_BE_ENDED, {"answer": message_id})).one_or_none()
    if row is None:
        return False
    whole = await _read_chunks(session, message_id, Answer("generating", row.text, row.reasoning))
    await note(
        session,
        message_id,
        status=ending.status,
        text=whole.text,
        reasoning=whole.reasoning,
        error=ending.error,
        finish=ending.finish,
        prompt_tokens=ending.prompt_tokens,
        completion_tokens=ending.completion_tokens,
        waiting="",
    )
    await session.execute(_CLEAR_CHUNKS, {"answer": message_id})
    return True


async def read(
    session: AsyncSession, user_id: int, message_id: int, known: Answer | None = None
) -> Answer | None:
    """What is stored of an answer now, if it is this user's; only what is new is read where some is known."""
    row = (await session.execute(_READ, {"user": user_id, "answer": message_id})).one_or_none()
    if row is None:
        return None
    stored = Answer(*row)
    if stored.running:
        # What is known may be less than what was there when the answer was gone on with.
        known = known or Answer("generating")
        base = stored._replace(
            text=max(known.text, stored.text, key=len),
            reasoning=max(known.reasoning, stored.reasoning, key=len),
        )
        return await _read_chunks(session, message_id, base)
    return stored


class Leaving(Exception):
    """A process is ending while the answer goes on elsewhere: its readers should go on at another."""


async def follow(
    database: Database,
    wakeups: WakeUps,
    user_id: int,
    message_id: int,
    counted: AbstractContextManager[None] | None = None,
) -> AsyncGenerator[Answer, None]:
    """An answer as it grows: what there is at once, then each later state, the last one not running.

    Ends without a last state if the answer is deleted, or is not this user's. While the database refuses
    it waits. It is `counted` as long as it is followed. Raises Leaving.
    """
    answer: Answer | None = None
    with counted or nullcontext(), wakeups.listening(message_id) as bell:
        while True:
            # What this process writes itself, or has read for all, need not be read; the first look is the
            # user's alone.
            latest = _known(wakeups, message_id, answer) if answer else None
            try:
                if latest is None:
                    async with database.reading() as session:
                        latest = await read(session, user_id, message_id, answer)
                    # Who was woken meanwhile may have read what was there before, and will look again.
                    is_known = message_id in wakeups.committed or bell.rung
                    if latest and latest.running and not is_known:
                        wakeups.followed[message_id] = latest
            except Unavailable:
                if wakeups.closing.is_set():
                    raise Leaving from None
                await bell.wait(RETRY_SECONDS)
                continue
            if latest is None:
                return
            if latest != answer:
                yield latest
            if not latest.running:
                return
            answer = latest
            if wakeups.closing.is_set():
                raise Leaving
            await bell.wait()


def _known(wakeups: WakeUps, message_id: int, seen: Answer) -> Answer | None:
    """What this process knows to be stored of an answer, unless a reader has seen more."""
    known = wakeups.committed.get(message_id) or wakeups.followed.get(message_id)
    if known and len(known.text) >= len(seen.text) and len(known.reasoning) >= len(seen.reasoning):
        return known
    return None


async def read_on(session: AsyncSession, known: Mapping[int, Answer]) -> dict[int, Answer]:
    """What is stored now of answers that were running, each known so far; without those that were deleted.

    Nor has it those of which that cannot be said so. Takes no user: it is for readers whom `read` let in.
    """
    running = Message.status == "generating"
    columns = (Message.id, Message.status, Message.error, Message.reasoning_seconds, Message.waiting)
    # What runs has its text in its chunks, and what it began with is known.
    texts = [case((running, ""), else_=text) for text in (Message.text, Message.reasoning)]
    found = {}
    for row in await session.execute(select(*columns, *texts).where(Message.id.in_(list(known)))):
        message_id, status, error, seconds, waiting, text, reasoning = row
        if status == "generating":
            found[message_id] = known[message_id]._replace(reasoning_seconds=seconds, waiting=waiting)
        else:
            found[message_id] = Answer(status, text, reasoning, error, seconds)
    growing = {message_id: answer for message_id, answer in found.items() if answer.running}
    for chunk in await new_chunks(session, growing):
        answer = found.get(chunk.message_id)
        if answer is None:
            continue
        if chunk.position != len(answer.text if chunk.kind == "text" else answer.reasoning):
            # It ended, and is gone on with behind a text of which something was missed.
            del found[chunk.message_id]
        elif chunk.kind == "text":
            found[chunk.message_id] = answer._replace(text=answer.text + chunk.text)
        else:
            found[chunk.message_id] = answer._replace(reasoning=answer.reasoning + chunk.text)
    return found


async def states(session: AsyncSession, message_ids: Iterable[int]) -> dict[int, tuple[object, ...]]:
    """Something of each of these answers that changes whenever what a reader is shown of it does.

    Takes no user, since it shows nothing: it tells whose readers to wake.
    """
    ends = [
        select(func.max(Chunk.position))
        .where(Chunk.message_id == Message.id, Chunk.kind == kind)
        .correlate(Message)
        .scalar_subquery()
        for kind in ("text", "reasoning")
    ]
    columns = (Message.id, Message.status, Message.attempt, Message.waiting, Message.reasoning_seconds)
    rows = select(*columns, *ends).where(Message.id.in_(list(message_ids)))
    return {row[0]: tuple(row[1:]) for row in await session.execute(rows)}


async def _read_chunks(session: Statements, message_id: int, known: Answer) -> Answer:
    new: dict[str, list[str]] = {"text": [known.text], "reasoning": [known.reasoning]}
    for chunk in await new_chunks(session, {message_id: known}):
        new[chunk.kind].append(chunk.text)
    return known._replace(text="".join(new["text"]), reasoning="".join(new["reasoning"]))
