"""Server-sent events: an answer as text for programs and as fragments for our page.

The id of an event is the position in the answer's text up to which a reader has it then, so any
process can go on from there. Every stream ends with `done`, after an `error` where something failed.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Sequence
from contextlib import aclosing
from time import monotonic as time

from sse_starlette import EventSourceResponse, ServerSentEvent

from app.answers import Answer
from app.fragments import changes, shown

PING_SECONDS = 15
COSTLY_SECONDS = 0.02
SEND_SECONDS = 30
"""How long a reader may take nothing before it is let go; it can come back."""

FAREWELL_SECONDS = 2
"""How long a stream has for its last events when the server is being stopped."""

GONE = "There is no such answer here. It may have been deleted."


def event_stream(events: AsyncIterator[ServerSentEvent], **headers: str) -> EventSourceResponse:
    """Events as a response."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    # LF, since htmx takes a CR and an LF that the network parted for two line ends.
    return EventSourceResponse(
        events,
        sep="\n",
        ping=PING_SECONDS,
        send_timeout=SEND_SECONDS,
        shutdown_grace_period=FAREWELL_SECONDS,
        headers=named,
    )


async def streamed_ai_response(pieces: AsyncIterable[object]) -> AsyncIterator[ServerSentEvent]:
    """Each piece of text as an event as soon as it comes, with the position behind it as id; then `done`."""
    position = 0
    async for piece in pieces:
        if text := str(piece):
            position += len(text)
            yield _event(text, id=str(position))
    yield _done("complete")


async def text_events(
    states: AsyncGenerator[Answer, None], seen: int | None
) -> AsyncIterator[ServerSentEvent]:
    """An answer's text from a position on, as it is stored.

    A position that makes no sense gets the text from its beginning.
    """
    answer: Answer | None = None
    async with aclosing(states) as following:
        async for answer in following:
            position = seen if seen is not None and seen <= len(answer.text) else 0
            if new := answer.text[position:]:
                yield _event(new, id=str(len(answer.text)))
            seen = len(answer.text)
    for event in _ended(answer):
        yield event


async def fragment_events(
    message_id: int, states: AsyncGenerator[Answer, None], seen: int | None
) -> AsyncIterator[ServerSentEvent]:
    """An answer as fragments, from a position on, as it is stored.

    A position that makes no sense gets a fragment that replaces all there is.
    """
    place = str(message_id)
    answer: Answer | None = None
    before: Sequence[str] | None = None
    async with aclosing(states) as following:
        async for answer in following:
            if before is None and seen is not None and seen <= len(answer.text):
                before = await shown(place, answer.text[:seen], running=True)
            began = time()
            now = await shown(place, answer.text, running=answer.running)
            if html := changes(place, before, now, bare=True):
                yield _event(html, id=str(len(answer.text)))
            before = now
            if answer.running and (cost := time() - began) > COSTLY_SECONDS:
                # A text that takes long to render is rendered less often, for the others' sake.
                await asyncio.sleep(min(5 * cost, 2))
    yield _done(answer.status if answer and not answer.running else "gone")


def _ended(answer: Answer | None) -> list[ServerSentEvent]:
    if answer is None or answer.running:
        return [_event(GONE, event="error"), _done("gone")]
    failure = [_event(answer.error, event="error")] if answer.error else []
    return [*failure, _done(answer.status)]


def _done(status: str) -> ServerSentEvent:
    return _event(status, event="done")


def _event(data: str, *, id: str | None = None, event: str | None = None) -> ServerSentEvent:  # noqa: A002 - the field's name
    return ServerSentEvent(data, id=id, event=event, sep="\n")
