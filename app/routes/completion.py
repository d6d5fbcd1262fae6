"""Completion: send a prompt, watch the answer arrive, stop it."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Header, Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app import conversations
from app.db import Unavailable
from app.deps import (
    GONE,
    Chat,
    CurrentAnswer,
    CurrentChat,
    CurrentReader,
    CurrentUser,
    Id,
    SeenInPage,
    SeenPosition,
)
from app.errors import refused
from app.events import event_stream, fragment_events, text_events
from app.problems import Problem
from app.readers import Reader
from app.routes.pages import clean_token, conversation_page, ended_piece, form_id, new_form_token
from app.tables import Conversation
from app.templating import page
from app.text import clean
from app.transcript import begun

router = APIRouter(tags=["completion"])

FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
FORM_EXPECTED = "A form is expected here, with the message in its field prompt."

STREAM = "```\nid: 5\ndata: Hello\n\nid: 12\ndata:  there.\n\nevent: done\ndata: complete\n```"
EVENTS = {
    "text/event-stream": {
        "schema": {"type": "string"},
        "example": "id: 5\ndata: Hello\n\nevent: done\ndata: complete\n\n",
    }
}
RESPONSES: dict[int | str, dict[str, object]] = {
    200: {
        "description": f"To a program, the answer as server-sent events, one per piece of text:\n{STREAM}",
        "content": EVENTS,
    },
    303: {"description": "To a browser's form: see the conversation."},
    409: {
        "description": "An answer is still being written in this conversation, "
        "or the form was sent before with another prompt."
    },
    413: {"description": "The prompt is too long."},
    415: {"description": "What was sent is no form."},
    422: {"description": "There is no prompt."},
}


@router.post("/completion", response_class=HTMLResponse, responses=RESPONSES, summary="Send a prompt")
async def complete(
    request: Request,
    chat: CurrentChat,
    user: CurrentUser,
    reader: CurrentReader,
    prompt: Annotated[str, Form(description="What you ask.", examples=["Hello"])] = "",
    conversation: Annotated[
        str, Form(description="The id of the conversation to go on with; a new one if empty.")
    ] = "",
    form_token: Annotated[str, Form(description="Sends one prompt, however often it is sent.")] = "",
    after: Annotated[
        str | None, Form(description="The composer's: the last message that its page shows.")
    ] = None,
) -> Response:
    """Store the prompt, start the answer, and show both to whoever asked.

    Programs get the answer as server-sent events: `data:` text, `id:` the position in characters
    behind it, `event: done` last, `event: error` before it where the answer failed. The answer goes
    on being written if the connection is lost; `Content-Location` names where to resume it with
    `Last-Event-ID`, and `X-Conversation-Id` what to send as `conversation` with the next prompt.
    What comes with `done` is how it ended: `complete`, `stopped`, `failed`, `interrupted` or `gone`.
    """
    prompt = clean(prompt)
    goes_on: int | None = None
    try:
        goes_on = form_id(conversation)
        _check(request, prompt, reader, chat.settings.prompt_limit)
        turn = await _begin_turn(
            chat, user, prompt, goes_on, clean_token(form_token), clears_draft=after is not None
        )
    except Problem as refusal:
        found = await _conversation(chat, user, goes_on)
        problem = Problem(404, GONE) if goes_on and not found else refusal
        if reader is Reader.BROWSER:
            return await conversation_page(
                request, chat, user, found, draft=prompt, problem=problem, form_token=form_token
            )
        raise problem from None
    root_path = request.scope.get("root_path", "")
    address = f"{root_path}/conversations/{turn.conversation.id}"
    # A page that does not show what this prompt follows is shown the whole conversation anew.
    up_to_date = turn.fresh and after in (None, str(turn.prompt.parent_id or ""))
    match reader:
        case Reader.HTMX if up_to_date:
            async with chat.database.reading() as session:
                listed = await conversations.listed(session, user)
            prompted, answered = begun(turn.prompt, turn.answer)
            context: dict[str, Any] = {
                "prompt": prompted,
                "entry": answered,
                "conversation": turn.conversation,
                "conversations": listed,
                "form_token": new_form_token(),
                "model": chat.provider,
            }
            headers = {} if goes_on else {"HX-Push-Url": address}
            return page(request, "messages/turn.html", headers=headers, **context)
        case Reader.HTMX:
            return Response(headers={"HX-Redirect": address})
        case Reader.BROWSER:
            return RedirectResponse(address + "/live", status_code=303)
        case Reader.SCRIPT:
            states = chat.follow(user, turn.answer.id, "text")
            return event_stream(
                text_events(states, 0),
                Content_Location=f"{root_path}/completion/{turn.answer.id}",
                X_Conversation_Id=str(turn.conversation.id),
            )


@router.get(
    "/completion/{message_id}",
    response_class=HTMLResponse,
    responses={200: RESPONSES[200]},
    summary="Resume an answer",
)
async def resume(chat: CurrentChat, user: CurrentUser, message_id: Id, seen: SeenPosition) -> Response:
    """An answer as events of text, from the position in `Last-Event-ID` on, then as it is written."""
    return event_stream(text_events(chat.follow(user, message_id, "text"), seen))


@router.get("/completion/{message_id}/fragments", include_in_schema=False)
async def fragments(
    chat: CurrentChat,
    user: CurrentUser,
    message_id: Id,
    seen: SeenInPage,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """An answer as fragments of HTML for our page, from where the page last saw it.

    Without `Last-Event-ID` the page may show more than its address says: some proxies take that header away.
    """
    states = chat.follow(user, message_id, "fragments")
    events = fragment_events(message_id, states, seen, at_least=last_event_id is None)
    return event_stream(events, alive=True)


@router.post("/completion/{message_id}/stop", include_in_schema=False)
async def stop(
    request: Request,
    chat: CurrentChat,
    user: CurrentUser,
    reader: CurrentReader,
    answer: CurrentAnswer,
    prompt: Annotated[str, Form()] = "",
) -> Response:
    """End an answer with the text that it has. Does nothing to one that has ended."""
    await chat.generations.stop(answer.id)
    async with chat.database.reading() as session:
        stopped = await conversations.find_message(session, user, answer.id)
        conversation = await conversations.find(session, user, answer.conversation_id)
    if stopped is None or conversation is None:
        raise Problem(404, GONE)
    if reader is Reader.HTMX:
        return await ended_piece(request, chat, user, stopped)
    if reader is Reader.BROWSER and prompt.strip():
        # The next prompt was being written in the form that holds the button: it must not be lost.
        return await conversation_page(request, chat, user, conversation, draft=clean(prompt))
    address = f"{request.scope.get('root_path', '')}/conversations/{conversation.id}"
    return RedirectResponse(address, status_code=303)


async def _conversation(chat: Chat, user: int, conversation_id: int | None) -> Conversation | None:
    if conversation_id is None:
        return None
    async with chat.database.reading() as session:
        return await conversations.find(session, user, conversation_id)


def _check(request: Request, prompt: str, reader: Reader, limit: int) -> None:
    if not prompt.strip():
        # What is no form is read as an empty one.
        kind = request.headers.get("Content-Type", FORMS[0]).partition(";")[0].strip().lower()
        if kind not in FORMS:
            raise Problem(415, FORM_EXPECTED)
        hint = f" {FORM_EXPECTED}" if reader is Reader.SCRIPT else ""
        raise Problem(422, f"Please write a message first.{hint}")
    if len(prompt) > limit:
        raise Problem(
            413, f"This message has {len(prompt):,} characters; at most {limit:,} can be sent at once."
        )


async def _begin_turn(
    chat: Chat,
    user: int,
    prompt: str,
    goes_on: int | None,
    form_token: str | None,
    *,
    clears_draft: bool,
) -> conversations.Turn:
    """Store a prompt and begin its answer, unless this form began it before."""

    async def add_turn(session: AsyncSession) -> conversations.Turn | None:
        conversation = await conversations.find(session, user, goes_on) if goes_on else None
        if goes_on and conversation is None:
            return None
        return await conversations.add_turn(
            session,
            user,
            prompt=prompt,
            model=chat.provider.model,
            worker=chat.generations.worker,
            conversation=conversation,
            form_token=form_token,
            clears_draft=clears_draft,
        )

    try:
        turn = await chat.begin(add_turn)
    except conversations.Busy:
        raise Problem(
            409,
            "An answer is still being written in this conversation. Wait for it or stop it, then send again.",
        ) from None
    except conversations.TokenUsed:
        raise Problem(
            409,
            "This form has already sent another message. Your text is still here: send it again.",
            form_token=new_form_token(),
        ) from None
    except Unavailable as error:
        raise refused(error) from error
    if turn is None:
        raise Problem(404, GONE)
    return turn
