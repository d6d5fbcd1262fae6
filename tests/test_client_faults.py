"""What readers say that they have, and what of it is lost on the way."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import events
from app.events import fragment_events
from app.providers.scripted import PAUSE, ScriptedProvider
from app.states import Answer, Seen
from app.templating import TEMPLATES
from tests.test_events import CUTS, Reader, page_of, states_of, whole
from tests.test_fragments import DOCUMENTS, parsed


@pytest.mark.fault(19)
@pytest.mark.parametrize("address", ["/completion/2", "/completion/2/fragments?from=3"])
@pytest.mark.parametrize("bogus", ["-1", "99999", "99999-99999", "x", "", "9" * 10_000, "٣", "12,7", "end"])
async def test_who_says_nonsense_gets_the_whole_and_then_what_comes(
    client: httpx2.AsyncClient, provider: ScriptedProvider, address: str, bogus: str
) -> None:
    provider.will_say("Hello *there*.", PAUSE, "\n\nAnd more.")
    async with client.stream("POST", "/completion", data={"prompt": "Hi"}) as begun:
        assert "Hello" in await anext(aiter(begun.aiter_text()))

    header = [(b"Last-Event-ID", bogus.encode())]
    async with client.stream("GET", address, headers=header) as response:
        assert response.status_code == 200
        lines = aiter(response.aiter_lines())
        async with asyncio.timeout(5):
            first = await anext(line async for line in lines if "Hello" in line)
        provider.go_on()
        rest = [line async for line in lines]

    assert "there" in first
    assert ("innerMorph" in first) == ("fragments" in address)
    assert any("And more." in line for line in rest)
    assert [line for line in rest if line][-2:] == ["event: done", "data: complete"]


@pytest.mark.fault(19)
async def test_a_header_that_no_browser_can_send_is_refused_and_harms_nobody(
    client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.will_say("Hello.")
    await client.post("/completion", data={"prompt": "Hi"})
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    writer.write(b"GET /completion/2 HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 1\x002\r\n\r\n")

    async with asyncio.timeout(5):
        said = await reader.read()

    writer.close()
    assert said.startswith(b"HTTP/1.1 400 ")
    assert "Hello." in (await client.get("/completion/2")).text


@pytest.mark.fault(50)
@settings(max_examples=80, deadline=None)
@given(DOCUMENTS, DOCUMENTS, st.integers(0, 120), st.integers(0, 120), st.booleans())
def test_a_page_that_has_more_than_its_address_says_is_brought_to_the_whole(
    text: str, reasoning: str, said: int, address: int, running: bool
) -> None:
    said = min(said, len(text))
    reader = Reader()
    reader.soup = parsed(page_of(text[:said], reasoning, None, running=True))
    answer = Answer("generating" if running else "complete", text, reasoning, "", 3.0 if reasoning else None)

    for html in fragments_of(answer, Seen(min(address, said), len(reasoning)), at_least=True):
        reader.apply(html)

    assert reader.html == whole(answer)


@pytest.mark.fault(50)
def test_a_page_that_is_where_its_address_says_is_sent_nothing_twice() -> None:
    assert fragments_of(Answer("generating", "Some text"), Seen(9), at_least=True) == []


@pytest.mark.fault(50)
async def test_a_program_can_say_in_the_address_what_it_has(
    client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.will_say("Hello there.")
    await client.post("/completion", data={"prompt": "Hi"})

    response = await client.get("/completion/2?from=6")

    assert response.text.startswith("id: 12\ndata: there.\n\n")


@pytest.mark.parametrize("start", ["9" * 500, "-1", "%00", "\u0661", ""])
@pytest.mark.parametrize("kind", ["", "/fragments"])
async def test_nonsense_in_the_address_gets_the_whole(
    client: httpx2.AsyncClient, provider: ScriptedProvider, kind: str, start: str
) -> None:
    provider.will_say("Hello there.")
    await client.post("/completion", data={"prompt": "Hi"})

    response = await client.get(f"/completion/2{kind}?from={start}")

    assert "Hello there." in response.text
    assert response.text.endswith("event: done\ndata: complete\n\n")


@pytest.mark.fault(50)
async def test_a_stream_to_a_page_says_at_once_that_it_is_alive(
    client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.will_say(PAUSE)
    await client.post("/completion", data={"prompt": "Hi"}, headers={"HX-Request": "true"})

    async with client.stream("GET", "/completion/2/fragments?from=0") as response, asyncio.timeout(5):
        lines = response.aiter_lines()
        assert await anext(lines) == "event: alive"


@pytest.mark.fault(50)
@pytest.mark.parametrize(
    ("address", "said"), [("/completion/2", ": ping"), ("/completion/2/fragments", "event: alive")]
)
async def test_a_stream_with_nothing_to_say_says_so_again_and_again(
    client: httpx2.AsyncClient,
    provider: ScriptedProvider,
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    said: str,
) -> None:
    monkeypatch.setattr(events, "PING_SECONDS", 0.01)
    provider.will_say(PAUSE)
    await client.post("/completion", data={"prompt": "Hi"}, headers={"HX-Request": "true"})

    async with client.stream("GET", address) as response, asyncio.timeout(5):
        lines = (line async for line in response.aiter_lines() if line.startswith(said))
        assert [await anext(lines) for _ in range(3)]


@pytest.mark.fault(50)
def test_a_stream_says_that_it_is_alive_before_proxies_and_pages_give_it_up() -> None:
    waits = re.search(r"alive delay:(\d+)s", (TEMPLATES / "messages/_answer.html").read_text())
    assert waits

    assert events.PING_SECONDS < 30
    assert int(waits[1]) > 2 * events.PING_SECONDS


@pytest.mark.fault(46)
@settings(max_examples=60, deadline=None)
@given(DOCUMENTS, DOCUMENTS, CUTS, st.integers(1, 9))
def test_however_small_its_steps_a_reader_has_the_whole_in_the_end(
    text: str, reasoning: str, cuts: list[tuple[int, int, bool]], step: int
) -> None:
    states = states_of(text, reasoning, cuts)
    reader = Reader()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "LARGEST_STEP", step)
        reader.take(states)

    assert reader.html == whole(states[-1])


@pytest.mark.fault(46)
@pytest.mark.parametrize(
    "text", ["Word and word. " * 30_000, "```py\n" + "x = f(1) + [2, 3]\n" * 20_000, "A *b*.\n\n" * 50_000]
)
def test_no_event_is_long_however_much_is_missing(text: str) -> None:
    sent = fragments_of(Answer("generating", text), Seen(), at_least=False)

    assert len(sent) > 5
    assert max(map(len, sent)) < 256 * 1024


def fragments_of(answer: Answer, seen: Seen, *, at_least: bool) -> list[str]:
    async def states() -> AsyncGenerator[Answer, None]:
        yield answer

    async def read() -> list[str]:
        async with aclosing(fragment_events(7, states(), seen, at_least=at_least)) as found:
            return [str(event.data) async for event in found if event.event is None]

    return asyncio.run(read())
