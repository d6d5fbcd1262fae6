"""Conversations: the chat page, an older conversation, its page without scripts, its end."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from app import answers, conversations
from app.deps import GONE, Chat, CurrentChat, CurrentConversation, CurrentReader, CurrentUser, MessageInQuery
from app.growing import GrowingPage
from app.problems import Problem
from app.readers import Reader
from app.reasoning import thought
from app.renderings import shown
from app.routes.pages import conversation_context, conversation_page
from app.templating import Templates, page
from app.transcript import entry, transcript

router = APIRouter()


@router.get("/", response_class=HTMLResponse, summary="The chat page")
async def home(request: Request, chat: CurrentChat, user: CurrentUser) -> Response:
    """A page with an empty conversation, ready to be begun."""
    return await conversation_page(request, chat, user, None)


@router.get("/conversations/{conversation_id}", include_in_schema=False)
async def show(
    request: Request,
    chat: CurrentChat,
    user: CurrentUser,
    reader: CurrentReader,
    conversation: CurrentConversation,
    until: MessageInQuery = None,
) -> Response:
    """The end of a conversation, where htmx streams an answer that is being written; or what is older."""
    if until is None:
        return await conversation_page(request, chat, user, conversation)
    older = await transcript(chat.database, user, conversation.id, until=until)
    if not older.entries:
        raise Problem(404, GONE)
    context: dict[str, Any] = {"conversation": conversation, "transcript": older}
    if reader is Reader.HTMX:
        return page(request, "conversations/earlier.html", **context)
    async with chat.database.reading() as session:
        listed = await conversations.listed(session, user)
    return page(request, "conversations/past.html", conversations=listed, model=chat.provider, **context)


@router.get("/conversations/{conversation_id}/live", include_in_schema=False)
async def live(
    request: Request, chat: CurrentChat, user: CurrentUser, conversation: CurrentConversation
) -> Response:
    """A conversation for browsers without scripts: the page itself goes on while an answer is written."""
    context = await conversation_context(chat, user, conversation)
    running = context["running"]
    if running is None:
        return await conversation_page(request, chat, user, conversation)
    before, after = request.app.state.templates.render_around(request, "conversations/live.html", **context)
    body = _growing_page(request, chat, user, running.message.id, before, after)
    return StreamingResponse(
        body, media_type="text/html", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )


@router.post("/conversations/{conversation_id}/delete", include_in_schema=False)
async def delete(
    request: Request, chat: CurrentChat, user: CurrentUser, conversation: CurrentConversation
) -> Response:
    """Delete a conversation for good, and stop what is being written in it."""
    async with chat.database.writing() as session:
        running = await conversations.delete(session, user, conversation.id)
    await chat.generations.forget(running)
    return RedirectResponse(request.scope.get("root_path", "") + "/", status_code=303)


async def _growing_page(
    request: Request, chat: Chat, user: int, message_id: int, before: str, after: str
) -> AsyncGenerator[str, None]:
    yield before
    growing = GrowingPage(partial(_around_reasoning, request))
    try:
        async with aclosing(chat.follow(user, message_id, "page")) as states:
            async for state in states:
                text = await shown(f"{message_id}", state.text, running=state.running)
                reasoning = await shown(f"{message_id}r", state.reasoning, running=state.thinking)
                words = thought(state.reasoning_seconds, running=state.running)
                if html := growing.advance(text.blocks, reasoning.blocks, words):
                    yield html
    except answers.Leaving:
        yield growing.end()
        yield request.app.state.templates.render(request, "conversations/_leaving.html")
        yield after
        return
    yield growing.end()
    async with chat.database.reading() as session:
        message = await conversations.find_message(session, user, message_id)
    if message:
        ended = await entry(chat.database, user, message)
        yield request.app.state.templates.render(request, "messages/_ending.html", entry=ended)
    yield after


def _around_reasoning(request: Request, words: str) -> tuple[str, str]:
    templates: Templates = request.app.state.templates
    return templates.render_around(request, "messages/_growing_reasoning.html", thought=words)
