"""Events: an answer's text and its reasoning as fragments, however they come and whoever comes back."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from time import perf_counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sse_starlette import ServerSentEvent

from app.events import fragment_events, text_events
from app.fragments import page_blocks
from app.growing import GrowingPage
from app.reasoning import thought
from app.renderings import shown_now
from app.states import Answer, Seen
from tests.test_fragments import DOCUMENTS, Page, parsed, shown_in

CUTS = st.lists(st.tuples(st.integers(0, 120), st.integers(0, 120), st.booleans()), max_size=8)


class Reader(Page):
    """A page of one answer with its reasoning, and the id of the last event that it had."""

    def __init__(self) -> None:
        super().__init__()
        self.soup = parsed(page_of("", "", None, running=True))
        self.seen = "0-0"

    def take(self, states: Sequence[Answer]) -> list[ServerSentEvent]:
        """Connect, with what was seen, and read to the end."""
        events = events_of(states, Seen.read(self.seen))
        for event in events:
            if event.event is None:
                self.apply(str(event.data))
                self.seen = event.id or self.seen
        return events


def page_of(text: str, reasoning: str, seconds: float | None, *, running: bool) -> str:
    blocks = page_blocks("7", shown_now("7", text, running=running).blocks)
    thoughts = page_blocks("7r", shown_now("7r", reasoning, running=running and not text).blocks)
    return (
        f'<p id="message-7-thought">{thought(seconds, running=True)}</p>'
        f'<div id="message-7r-blocks">{thoughts}</div><div id="message-7-blocks">{blocks}</div>'
    )


def whole(answer: Answer) -> str:
    html = page_of(answer.text, answer.reasoning, answer.reasoning_seconds, running=answer.running)
    return str(parsed(html))


def events_of(states: Sequence[Answer], seen: Seen | None) -> list[ServerSentEvent]:
    async def following() -> AsyncGenerator[Answer, None]:
        for state in states:
            yield state

    async def read() -> list[ServerSentEvent]:
        return [event async for event in fragment_events(7, following(), seen)]

    return asyncio.run(read())


def told(events: Sequence[ServerSentEvent]) -> list[tuple[str | None, str]]:
    return [(event.event, str(event.data)) for event in events]


def states_of(text: str, reasoning: str, cuts: Sequence[tuple[int, int, bool]]) -> list[Answer]:
    """States that an answer may be stored in, the last one ended."""
    texts = sorted(min(cut, len(text)) for cut, _, _ in cuts)
    thoughts = sorted(min(cut, len(reasoning)) for _, cut, _ in cuts)
    running = [
        Answer("generating", text[:said], reasoning[:thought], "", 3.0 if said and thought else None)
        for said, thought in zip(texts, thoughts, strict=True)
    ]
    return [*running, Answer("complete", text, reasoning, "", 3.0 if reasoning else None)]


@settings(max_examples=80, deadline=None)
@given(DOCUMENTS, DOCUMENTS, CUTS)
def test_however_text_and_reasoning_come_and_often_a_reader_leaves_it_has_the_whole_in_the_end(
    text: str, reasoning: str, cuts: list[tuple[int, int, bool]]
) -> None:
    states = states_of(text, reasoning, cuts)
    leaves = [number for number, (_, _, leaving) in enumerate(cuts) if leaving]
    reader = Reader()

    for start, end in zip([0, *leaves], [*leaves, len(states)], strict=True):
        reader.take(states[start:end])

    assert reader.html == whole(states[-1])


@settings(max_examples=80, deadline=None)
@given(DOCUMENTS, DOCUMENTS, st.integers(0, 120), st.integers(0, 120), st.booleans())
def test_from_any_pair_of_positions_a_page_is_brought_to_the_whole(
    text: str, reasoning: str, said: int, thinking: int, running: bool
) -> None:
    said, thinking = min(said, len(text)), min(thinking, len(reasoning))
    reader = Reader()
    reader.soup = parsed(page_of(text[:said], reasoning[:thinking], None, running=True))
    reader.seen = f"{said}-{thinking}"
    answer = Answer("generating" if running else "complete", text, reasoning, "", 3.0 if reasoning else None)

    reader.take([answer])

    assert reader.html == whole(answer)


@pytest.mark.parametrize("seen", ["99-0", "0-99", "x", "1-", "-1", "1-2-3", "end ", "1e3", "٣-1"])
def test_what_makes_no_sense_gets_the_whole(seen: str) -> None:
    reader = Reader()
    reader.soup = parsed(page_of("Something *else*", "and *more*", None, running=True))
    reader.seen = seen
    answer = Answer("generating", "Yes.", "Hm.")

    reader.take([answer])

    assert reader.html == whole(answer)


def test_a_position_in_the_text_alone_means_no_reasoning() -> None:
    assert Seen.read("12") == Seen(12, 0)
    assert Seen.read("12-7") == Seen(12, 7)


def test_the_ids_tell_how_much_of_both_a_page_has_and_when_it_has_the_ended_whole() -> None:
    states = [
        Answer("generating", "", "Hm"),
        Answer("generating", "Yes", "Hm.", "", 3.0),
        Answer("complete", "Yes.", "Hm.", "", 3.0),
    ]

    events = events_of(states, Seen())
    assert [event.id for event in events] == ["0-2", "3-3", "end", None]
    assert ["Thought for 3 seconds" in data for _, data in told(events)] == [False, True, False, False]


def test_who_has_the_ended_whole_is_told_only_that_it_is_done() -> None:
    ended = Answer("complete", "Half *a", "Hm *a", "", 3.0)

    assert told(events_of([ended], Seen(ended=True))) == [("done", "complete")]


def test_who_cannot_have_the_ended_whole_yet_is_given_all_of_it() -> None:
    reader = Reader()
    reader.seen = "end"
    answer = Answer("generating", "Yes", "Hm")

    reader.take([answer])

    assert reader.html == whole(answer)


def test_an_answer_without_reasoning_says_nothing_of_it() -> None:
    events = events_of([Answer("generating", "Yes"), Answer("complete", "Yes.")], Seen())

    sent = "".join(data for _, data in told(events))
    assert "Yes" in sent
    assert "thought" not in sent
    assert "7r" not in sent


async def test_programs_get_the_text_alone() -> None:
    async def following() -> AsyncGenerator[Answer, None]:
        yield Answer("generating", "", "Hm")
        yield Answer("generating", "Yes", "Hm.", "", 3.0)
        yield Answer("complete", "Yes.", "Hm.", "", 3.0)

    events = [event async for event in text_events(following(), 0)]

    assert [(event.id, event.data) for event in events] == [("3", "Yes"), ("4", "."), (None, "complete")]


async def test_a_megabyte_of_reasoning_keeps_nobody_waiting() -> None:
    reasoning = "Some *words* and `code`, and a [link](https://a.example/), and so on.\n\n" * 14_000
    longest = 0.0

    async def following() -> AsyncGenerator[Answer, None]:
        for size in range(0, len(reasoning), 100_000):
            yield Answer("generating", "", reasoning[:size])
        yield Answer("complete", "Yes.", reasoning, "", 3.0)

    async def beat() -> None:
        nonlocal longest
        while True:
            began = perf_counter()
            await asyncio.sleep(0.005)
            longest = max(longest, perf_counter() - began)

    beating = asyncio.create_task(beat())
    sent = [event async for event in fragment_events(7, following(), Seen())]
    beating.cancel()

    assert sum(len(data) for _, data in told(sent)) > len(reasoning)
    assert longest < 0.5


AROUND = '<div class="thinking">', '<span slot="thought">{}</span></div>'


@example(
    "", "\n\n[ref]: https://example.org\n", [(0, 4, False)]
)  # what was shown turns out to be a definition
@settings(max_examples=80, deadline=None)
@given(DOCUMENTS, DOCUMENTS, CUTS)
def test_a_page_that_only_grows_shows_the_reasoning_and_then_the_text(
    text: str, reasoning: str, cuts: list[tuple[int, int, bool]]
) -> None:
    growing = GrowingPage(lambda words: (AROUND[0], AROUND[1].format(words)))
    states = states_of(text, reasoning, cuts)
    sent = ""
    known: tuple[str, ...] = ()
    begun = False
    for state in states:
        blocks = shown_now("7", state.text, running=state.running).blocks
        thoughts = shown_now("7r", state.reasoning, running=state.thinking).blocks
        sent += growing.advance(blocks, thoughts, thought(state.reasoning_seconds, running=state.running))
        known, begun = (known if begun else thoughts), begun or bool(blocks)
    sent += growing.end()

    soup = parsed(sent)
    folded = soup.select(".thinking")
    inner = "".join(part.extract().decode_contents() for part in folded)
    assert shown_in(str(soup)) == [str(parsed(html)) for html in shown_now("7", text).blocks]
    without_words, _, words = inner.partition('<span slot="thought">')
    assert shown_in(without_words) == [str(parsed(html)) for html in known]
    assert words in ("", "Thought for 3 seconds</span>")
