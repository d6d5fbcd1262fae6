"""What the routes show: pages and pieces, with the context that their templates declare."""

import secrets
from typing import Any

from fastapi import Request
from starlette.responses import HTMLResponse, Response

from app import conversations
from app.deps import GONE, MOST_ID, Chat
from app.problems import Problem
from app.tables import Conversation, Message
from app.templating import page
from app.text import clean
from app.transcript import Transcript, entry, transcript

LONGEST_TOKEN = 100
LONGEST_ID = 20


async def conversation_page(
    request: Request,
    chat: Chat,
    user: int,
    conversation: Conversation | None,
    *,
    draft: str | None = None,
    problem: Problem | None = None,
    form_token: str = "",
) -> HTMLResponse:
    """The chat page, of a conversation or of none yet; a `draft` takes the place of the one that is kept.

    After a `problem` the form has the token that was sent, which sends nothing twice, unless it is used up.
    """
    context = await conversation_context(chat, user, conversation, draft=draft)
    if problem is None:
        return page(request, "conversations/show.html", **context)
    token = problem.form_token or clean_token(form_token) or context["form_token"]
    context |= {"problem": problem.sentence, "form_token": token}
    return page(request, "conversations/show.html", status=problem.status, headers=problem.headers, **context)


async def conversation_context(
    chat: Chat, user: int, conversation: Conversation | None, *, draft: str | None = None
) -> dict[str, Any]:
    """What a chat page needs to know."""
    async with chat.database.reading() as session:
        listed = await conversations.listed(session, user)
        kept = conversation.draft if conversation else await conversations.draft(session, user)
    shown = await transcript(chat.database, user, conversation.id) if conversation else Transcript()
    return {
        "conversation": conversation,
        "conversations": listed,
        "transcript": shown,
        "running": shown.running,
        "draft": kept if draft is None else draft,
        "problem": "",
        "form_token": new_form_token(),
        "model": chat.provider,
    }


async def ended_piece(request: Request, chat: Chat, user: int, answer: Message) -> Response:
    """An answer that has ended; where the conversation has gone on in another tab, the whole page anew."""
    context = await piece_context(chat, user, answer)
    if not context["entry"].last:
        return Response(headers={"HX-Refresh": "true"})
    return page(request, "messages/ended.html", **context)


async def piece_context(chat: Chat, user: int, answer: Message) -> dict[str, Any]:
    """What the piece of one answer, and the composer that comes with it, need to know."""
    shown = await entry(chat.database, user, answer)
    async with chat.database.reading() as session:
        conversation = await conversations.find(session, user, answer.conversation_id)
    return {
        "entry": shown,
        "conversation": conversation,
        "draft": conversation.draft if conversation else "",
        "form_token": new_form_token(),
    }


def new_form_token() -> str:
    """A token that lets a form send one prompt."""
    return secrets.token_urlsafe(18)


def clean_token(form_token: str) -> str | None:
    """A form's token as it is stored; None if the form had none."""
    return clean(form_token)[:LONGEST_TOKEN] or None


def form_id(field: str) -> int | None:
    """The id in a form's field; None if it is empty. Raises Problem 404 for what is no id."""
    if not field:
        return None
    # Its length first: Python refuses to read a number of thousands of digits.
    if not (field.isascii() and field.isdigit() and len(field) <= LONGEST_ID and 0 < int(field) < MOST_ID):
        raise Problem(404, GONE)
    return int(field)
