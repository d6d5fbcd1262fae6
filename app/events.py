"""Server-sent events: an answer as text for programs and as fragments for our page.

The id of an event is how much of the answer a reader has then, so any process can go on from there: for
programs the position in its text, for our page that in its reasoning too (`Seen`). Every stream ends with
`done`, after an `error` where something failed.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from contextlib import aclosing
from html import escape
from time import monotonic as time

from sse_starlette import ServerSentEvent

from app.answers import Leaving
from app.fragments import step
from app.markdown import is_loaded
from app.reasoning import thought
from app.renderings import Shown, shown
from app.states import Answer, Seen
from app.streams import Events, EventStream

PING_SECONDS = 15
"""How often a stream says that it is alive; a page waits forty seconds for that before it connects anew."""

COSTLY_SECONDS = 0.02
LARGEST_STEP = 25_000
"""Characters of an answer that one event brings: who is slow and is cut off goes on from the last one."""

RECONNECT_MILLISECONDS = 500

GONE = "There is no such answer here. It may have been deleted."


def event_stream(events: Events, *, alive: bool = False, **headers: str) -> EventStream:
    """Events as a response that says now and then that it is alive: with `alive` at once too, by an event."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    ping = _event("", event="alive").encode() if alive else b": ping\n\n"
    return EventStream(events, alive=ping, at_once=alive, seconds=PING_SECONDS, headers=named)


async def streamed_ai_response(pieces: AsyncIterable[object]) -> Events:
    """Each piece of text as an event as soon as it comes, with the position behind it as id; then `done`."""
    position = 0
    async for piece in pieces:
        if text := str(piece):
            position += len(text)
            yield _event(text, id=str(position))
    yield _done("complete")


async def text_events(states: AsyncGenerator[Answer, None], seen: int | None) -> Events:
    """An answer's text from a position on, as it is stored.

    A position that makes no sense gets the text from its beginning.
    """
    answer: Answer | None = None
    try:
        async with aclosing(states) as following:
            async for answer in following:
                position = seen if seen is not None and seen <= len(answer.text) else 0
                while new := answer.text[position : position + LARGEST_STEP]:
                    position += len(new)
                    yield _event(new, id=str(position))
                seen = position
    except Leaving:
        yield _reconnect()
        return
    for event in _ended(answer):
        yield event


async def fragment_events(
    message_id: int, states: AsyncGenerator[Answer, None], seen: Seen | None, *, at_least: bool = False
) -> Events:
    """An answer as fragments, from what a page has of it on, as it is stored.

    What makes no sense gets a fragment that replaces all there is; so does who may have more than what
    was seen (`at_least`), unless there is no more. Who has the ended whole gets nothing, since that may read
    otherwise than the same text while it ran.
    """
    answer: Answer | None = None
    page: _Page | None = None
    try:
        async with aclosing(states) as following:
            async for answer in following:
                if page is None:
                    if seen and seen.ended and seen.is_of(answer):
                        break
                    if at_least and seen != Seen.of(answer):
                        seen = None
                    page = await _Page.with_what_was_seen(message_id, answer, seen)
                began, was_loaded = time(), is_loaded()
                for state in page.steps_to(answer):
                    if html := await page.brought_to(state):
                        yield _event(html, id=str(Seen.of(state)))
                # To load the renderer takes long too, once.
                if answer.running and was_loaded and (cost := time() - began) > COSTLY_SECONDS:
                    # A text that takes long to render is rendered less often, for the others' sake.
                    await asyncio.sleep(min(5 * cost, 2))
    except Leaving:
        yield _reconnect()
        return
    yield _done(answer.status if answer and not answer.running else "gone")


class _Page:
    """What a page shows of an answer: its text, its reasoning, and for how long it thought."""

    def __init__(self, message_id: int) -> None:
        self._id = message_id
        self._seen: Seen | None = None
        self._text: Shown | None = None
        self._reasoning: Shown | None = None
        # Not known of a page that comes back, so it is told once more.
        self._told_seconds = False
        self._told_waiting: str | None = None

    @classmethod
    async def with_what_was_seen(cls, message_id: int, answer: Answer, seen: Seen | None) -> "_Page":
        """A page that has this much of an answer; of one that makes no sense nothing is known."""
        page = cls(message_id)
        if seen and seen.is_of(answer):
            page._text = await shown(f"{message_id}", answer.text[: seen.text], running=True)
            reasoning = answer.reasoning[: seen.reasoning]
            page._reasoning = await shown(f"{message_id}r", reasoning, running=not seen.text)
            page._seen = seen
        return page

    def steps_to(self, answer: Answer) -> Iterator[Answer]:
        """The state that is to be shown, with others before it where much has come since what is shown."""
        if seen := self._seen:
            for end in range(seen.reasoning + LARGEST_STEP, len(answer.reasoning), LARGEST_STEP):
                yield Answer("generating", answer.text[: seen.text], answer.reasoning[:end])
            for end in range(seen.text + LARGEST_STEP, len(answer.text), LARGEST_STEP):
                yield Answer("generating", answer.text[:end], answer.reasoning)
        yield answer

    async def brought_to(self, answer: Answer) -> str:
        """The fragments that it takes to show this state of the answer."""
        running = answer.running
        self._seen = Seen.of(answer)
        # The text first, since a piece without a name is.
        self._text, fragments = await step(f"{self._id}", self._text, answer.text, running=running, bare=True)
        if answer.reasoning or self._reasoning is None:
            self._reasoning, reasoning = await step(
                f"{self._id}r", self._reasoning, answer.reasoning, running=answer.thinking
            )
            fragments += reasoning
        if answer.reasoning_seconds is not None and not self._told_seconds:
            self._told_seconds = True
            words = thought(answer.reasoning_seconds, running=answer.running)
            fragments += (
                f'<hx-partial hx-target="#message-{self._id}-thought" hx-swap=innerMorph>{words}</hx-partial>'
            )
        if answer.running and answer.waiting != self._told_waiting:
            # To most pages there is nothing to tell, ever.
            if answer.waiting or self._told_waiting:
                target = f"#message-{self._id}-waiting"
                words = escape(answer.waiting)
                fragments += f'<hx-partial hx-target="{target}" hx-swap=innerMorph>{words}</hx-partial>'
            self._told_waiting = answer.waiting
        return fragments


def _reconnect() -> ServerSentEvent:
    """Says when to come back: at once, since another process is there or will be soon."""
    return ServerSentEvent(retry=RECONNECT_MILLISECONDS, sep="\n")


def _ended(answer: Answer | None) -> list[ServerSentEvent]:
    if answer is None or answer.running:
        return [_event(GONE, event="error"), _done("gone")]
    failure = [_event(answer.error, event="error")] if answer.error else []
    return [*failure, _done(answer.status)]


def _done(status: str) -> ServerSentEvent:
    return _event(status, event="done")


def _event(data: str, *, id: str | None = None, event: str | None = None) -> ServerSentEvent:  # noqa: A002 - the field's name
    return _Event(data, id=id, event=event, sep="\n")


class _Event(ServerSentEvent):
    """An event whose lines end in LF alone, as all of ours do: encoded without looking for anything else."""

    def encode(self) -> bytes:
        """The event's bytes."""
        data = str(self.data)
        if "\r" in data:
            return super().encode()
        head = f"id: {self.id}\n" if self.id is not None else ""
        head += f"event: {self.event}\n" if self.event is not None else ""
        lines = data.replace("\n", "\ndata: ")
        return f"{head}data: {lines}\n\n".encode()
