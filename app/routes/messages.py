"""Messages: an answer once it has ended, its text alone, and a second try."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from app import answers, conversations
from app.deps import (
    GONE,
    AnswerIfAny,
    Beginning,
    Chat,
    CurrentAnswer,
    CurrentChat,
    CurrentReader,
    CurrentUser,
)
from app.problems import Problem
from app.readers import Reader
from app.routes.pages import clean_token, ended_piece, form_id, new_form_token, piece_context
from app.templating import page
from app.text import clean

router = APIRouter(include_in_schema=False)


@router.get("/messages/{message_id}")
async def piece(
    request: Request, chat: CurrentChat, user: CurrentUser, reader: CurrentReader, answer: AnswerIfAny
) -> Response:
    """An answer in its final form, with the composer free again.

    A page that has lost its stream asks for an answer that is being written: that it gets with a new one.
    """
    if answer is None:
        if reader is not Reader.HTMX:
            raise Problem(404, GONE)
        return page(request, "messages/gone.html", form_token=new_form_token())
    if not answer.running:
        return await ended_piece(request, chat, user, answer)
    # Not morphed, as an ended one is: only a new element opens a new stream.
    context = await piece_context(chat, user, answer)
    return page(request, "messages/again.html", headers={"HX-Reswap": "outerHTML"}, **context)


@router.get("/messages/{message_id}/text")
async def text(chat: CurrentChat, user: CurrentUser, answer: CurrentAnswer) -> Response:
    """The text of an answer, as the model wrote it."""
    async with chat.database.reading() as session:
        found = await answers.read(session, user, answer.id)
    return PlainTextResponse(found.text if found else "")


@router.post("/draft")
async def draft(
    chat: CurrentChat,
    user: CurrentUser,
    prompt: Annotated[str, Form()] = "",
    conversation: Annotated[str, Form()] = "",
    form_token: Annotated[str, Form()] = "",
) -> Response:
    """Keep what is being written, so that a reload, another tab or another day finds it."""
    async with chat.database.writing() as session:
        await conversations.keep_draft(
            session,
            user,
            clean(prompt)[: chat.settings.prompt_limit],
            conversation_id=form_id(conversation),
            form_token=clean_token(form_token),
        )
    return Response(status_code=204)


@router.post("/messages/{message_id}/retry")
async def retry(
    request: Request, chat: CurrentChat, user: CurrentUser, reader: CurrentReader, answer: CurrentAnswer
) -> Response:
    """Have the prompt answered again; the earlier answer is kept."""

    async def again(session: AsyncSession) -> conversations.Turn | None:
        worker = chat.generations.worker
        return await conversations.retry(session, user, answer.id, model=chat.provider.model, worker=worker)

    return await _written(request, chat, user, reader, again)


@router.post("/messages/{message_id}/continue")
async def go_on(
    request: Request, chat: CurrentChat, user: CurrentUser, reader: CurrentReader, answer: CurrentAnswer
) -> Response:
    """Have an answer that was cut short gone on with, from the text that there is."""

    async def on(session: AsyncSession) -> conversations.Turn | None:
        return await conversations.go_on(session, user, answer.id, worker=chat.generations.worker)

    return await _written(request, chat, user, reader, on)


async def _written(request: Request, chat: Chat, user: int, reader: Reader, beginning: Beginning) -> Response:
    """An answer that is being written, once more."""
    try:
        turn = await chat.begin(beginning)
    except conversations.Busy:
        raise Problem(409, "An answer is already being written in this conversation.") from None
    except conversations.NotLast:
        raise Problem(
            409, "This conversation has gone on; only its newest answer can be tried again or gone on with."
        ) from None
    except conversations.NotBroken:
        raise Problem(409, "This answer has come to its end; there is nothing to go on with.") from None
    if turn is None:
        raise Problem(404, GONE)
    if reader is not Reader.HTMX:
        address = f"{request.scope.get('root_path', '')}/conversations/{turn.conversation.id}/live"
        return RedirectResponse(address, status_code=303)
    return page(request, "messages/again.html", **await piece_context(chat, user, turn.answer))
