"""Dependencies: what routes are handed. Whatever has an owner is loaded here, by its owner."""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Path, Query, Request
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.exc import StaleDataError

from app import answers, conversations
from app.conversations import Turn
from app.db import Database
from app.generation import Generations
from app.metrics import Metrics, StreamKind
from app.problems import Problem
from app.providers import ChatMessage, Provider
from app.readers import Reader, reader_of
from app.settings import Settings
from app.states import Answer, Seen
from app.tables import Conversation, Message
from app.wakeups import WakeUps

LOCAL_USER = 1
"""The one user of a server without accounts."""

STOPPING = "This server is being restarted. Your text is still here: send it again in a moment."
GONE = "There is no such conversation here. It may have been deleted: begin a new chat to go on."
NOT_STARTED = (
    "This chat was not started. An application that mounts it passes on its lifespan; README.md says how."
)

_log = logging.getLogger(__name__)

Beginning = Callable[[AsyncSession], Awaitable[Turn | None]]
"""Stores a turn whose answer is to be written."""


@dataclass(frozen=True, slots=True)
class Chat:
    """The parts of a running application."""

    settings: Settings
    database: Database
    wakeups: WakeUps
    generations: Generations
    provider: Provider
    metrics: Metrics

    def follow(self, user: int, message_id: int, kind: StreamKind) -> AsyncGenerator[Answer, None]:
        """An answer as it grows, for one reader, as `answers.follow` has it. Raises Leaving."""
        return answers.follow(self.database, self.wakeups, user, message_id, self.metrics.stream(kind))

    async def begin(self, beginning: Beginning) -> Turn | None:
        """Store a turn and begin to write its answer, unless it was begun before; None if there is none.

        Raises Problem while this server is being stopped.
        """
        self._insist_on_staying()
        try:
            turn, messages = await self._store(beginning)
        except (IntegrityError, StaleDataError):
            # Another was first, with the same form or by deleting what this follows: look again.
            turn, messages = await self._store(beginning)
        if turn and turn.fresh:
            self.generations.start(turn.answer, messages)
        return turn

    async def _store(self, beginning: Beginning) -> tuple[Turn | None, list[ChatMessage]]:
        async with self.database.writing() as session:
            turn = await beginning(session)
            fresh = turn is not None and turn.fresh
            messages = await self.generations.prepare(session, turn.answer) if turn and fresh else []
            # Once more, since this may have waited for its turn: what is not stored can be sent elsewhere.
            self._insist_on_staying()
        return turn, messages

    def _insist_on_staying(self) -> None:
        if self.generations.draining:
            raise Problem(503, STOPPING, retry_after=2)


# None of these is a plain function: FastAPI would hand it to a thread and back, for each request anew.


async def chat_of(request: Request) -> Chat:
    """The running application. Raises Problem where it was mounted without its lifespan."""
    chat: Chat | None = getattr(request.app.state, "chat", None)
    if chat is None:
        _log.error(NOT_STARTED)
        raise Problem(500, NOT_STARTED)
    return chat


async def current_user() -> int:
    """Whose request this is."""
    return LOCAL_USER


async def current_reader(request: Request) -> Reader:
    """What the answer to this request has to look like."""
    return reader_of(request)


MOST_ID = 2**53
Id = Annotated[int, Path(ge=1, lt=MOST_ID)]
MessageInQuery = Annotated[int | None, Query(ge=1, lt=MOST_ID)]
CurrentChat = Annotated[Chat, Depends(chat_of)]
CurrentUser = Annotated[int, Depends(current_user)]
CurrentReader = Annotated[Reader, Depends(current_reader)]


async def current_conversation(conversation_id: Id, chat: CurrentChat, user: CurrentUser) -> Conversation:
    """The user's conversation of that id; else 404."""
    async with chat.database.reading() as session:
        conversation = await conversations.find(session, user, conversation_id)
    if conversation is None:
        raise Problem(404, GONE)
    return conversation


async def current_answer(message_id: Id, chat: CurrentChat, user: CurrentUser) -> Message:
    """The user's answer of that id; else 404."""
    async with chat.database.reading() as session:
        message = await conversations.find_message(session, user, message_id)
    if message is None or message.role != "assistant":
        raise Problem(404, GONE)
    return message


async def answer_if_any(message_id: Id, chat: CurrentChat, user: CurrentUser) -> Message | None:
    """The user's answer of that id, or None: for those who were shown it before it was deleted."""
    async with chat.database.reading() as session:
        message = await conversations.find_message(session, user, message_id)
    return message if message and message.role == "assistant" else None


async def seen_position(
    last_event_id: Annotated[str | None, Header()] = None,
    start: Annotated[str, Query(alias="from")] = "0",
) -> int | None:
    """Up to where a reader has an answer: Last-Event-ID, else `from`; None if it makes no sense."""
    position = start if last_event_id is None else last_event_id
    return int(position) if position.isascii() and position.isdigit() and len(position) <= 12 else None


async def seen_in_page(
    last_event_id: Annotated[str | None, Header()] = None,
    start: Annotated[str, Query(alias="from")] = "0",
) -> Seen | None:
    """How much of an answer a page shows: Last-Event-ID, else `from`; None if it makes no sense."""
    return Seen.read(start if last_event_id is None else last_event_id)


CurrentConversation = Annotated[Conversation, Depends(current_conversation)]
CurrentAnswer = Annotated[Message, Depends(current_answer)]
AnswerIfAny = Annotated[Message | None, Depends(answer_if_any)]
SeenPosition = Annotated[int | None, Depends(seen_position)]
SeenInPage = Annotated[Seen | None, Depends(seen_in_page)]
