"""Dependencies: what routes are handed. Whatever has an owner is loaded here, by its owner."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Path, Query, Request
from sqlalchemy.ext.asyncio import AsyncSession

from app import conversations
from app.answers import Seen
from app.db import Database
from app.generation import Generations
from app.problems import Problem
from app.prompts import messages_for
from app.providers import ChatMessage, Provider
from app.readers import Reader, reader_of
from app.settings import Settings
from app.tables import Conversation, Message
from app.wakeups import WakeUps

LOCAL_USER = 1
"""The one user of a server without accounts."""

GONE = "There is no such conversation here. It may have been deleted."


@dataclass(frozen=True, slots=True)
class Chat:
    """The parts of a running application."""

    settings: Settings
    database: Database
    wakeups: WakeUps
    generations: Generations
    provider: Provider

    async def messages_for(self, session: AsyncSession, turn: conversations.Turn) -> list[ChatMessage]:
        """What the model is to be sent for a turn; what it is not sent is noted on the answer."""
        answer = turn.answer
        branch = await conversations.branch(
            session, answer.user_id, answer.conversation_id, until=turn.prompt.id
        )
        messages, answer.left_out = messages_for(
            branch,
            system_prompt=self.settings.system_prompt,
            context_tokens=self.provider.context_tokens,
        )
        return messages


def chat_of(request: Request) -> Chat:
    """The running application."""
    chat: Chat = request.app.state.chat
    return chat


def current_user() -> int:
    """Whose request this is."""
    return LOCAL_USER


MOST_ID = 2**53
Id = Annotated[int, Path(ge=1, lt=MOST_ID)]
CurrentChat = Annotated[Chat, Depends(chat_of)]
CurrentUser = Annotated[int, Depends(current_user)]
CurrentReader = Annotated[Reader, Depends(reader_of)]


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


def seen_position(
    last_event_id: Annotated[str | None, Header()] = None,
    start: Annotated[str, Query(alias="from", max_length=20)] = "0",
) -> int | None:
    """Up to where a reader has an answer: Last-Event-ID, else `from`; None if it makes no sense."""
    position = start if last_event_id is None else last_event_id
    return int(position) if position.isascii() and position.isdigit() and len(position) <= 12 else None


def seen_in_page(
    last_event_id: Annotated[str | None, Header()] = None,
    start: Annotated[str, Query(alias="from", max_length=30)] = "0",
) -> Seen | None:
    """How much of an answer a page shows: Last-Event-ID, else `from`; None if it makes no sense."""
    return Seen.read(start if last_event_id is None else last_event_id)


CurrentConversation = Annotated[Conversation, Depends(current_conversation)]
CurrentAnswer = Annotated[Message, Depends(current_answer)]
AnswerIfAny = Annotated[Message | None, Depends(answer_if_any)]
SeenPosition = Annotated[int | None, Depends(seen_position)]
SeenInPage = Annotated[Seen | None, Depends(seen_in_page)]
