"""Any OpenAI-compatible server: what is asked, what arrives, and how fast it lets go."""

import asyncio
import json
import time
from contextlib import aclosing
from threading import Event

import pytest

from app.providers import ChatMessage, Delta, ProviderError, Usage, openai, prompt_llm_async
from app.providers.client import Client
from app.providers.openai import OpenAIProvider
from tests.providers.conftest import HELLO, Connect
from tests.upstream import PAUSE, Upstream


async def deltas_of(provider: OpenAIProvider, messages: list[ChatMessage] | None = None) -> list[Delta]:
    return [delta async for delta in prompt_llm_async(messages or HELLO, provider=provider)]


def text_of(deltas: list[Delta]) -> str:
    return "".join(map(str, deltas))


async def test_all_pieces_arrive_and_are_counted_however_many_come_at_once(
    upstream: Upstream, connect: Connect
) -> None:
    upstream.will_say("One. ", "Two. ", "Three.")

    said = [delta for delta in await deltas_of(connect()) if delta.text]

    assert text_of(said) == "One. Two. Three."
    assert sum(delta.pieces for delta in said) == 3


async def test_a_piece_is_passed_on_before_the_next_is_sent(upstream: Upstream, connect: Connect) -> None:
    upstream.will_say("One. ", PAUSE, "Two.")

    async with aclosing(prompt_llm_async(HELLO, provider=connect())) as deltas:
        assert (await anext(deltas)).text == "One. "
        upstream.go_on()
        assert (await anext(deltas)).text == "Two."


async def test_the_request_holds_the_messages_and_asks_for_a_stream_with_usage(
    upstream: Upstream, connect: Connect
) -> None:
    messages: list[ChatMessage] = [{"role": "system", "content": "Be brief."}, *HELLO]

    await deltas_of(connect(model="gpt-9", options={"temperature": 0.2}), messages)

    assert upstream.requests[0].path == "/v1/chat/completions"
    assert upstream.requests[0].body == {
        "model": "gpt-9",
        "messages": messages,
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.2,
    }


async def test_a_key_is_sent_as_bearer(upstream: Upstream, connect: Connect) -> None:
    await deltas_of(connect(key="sk-secret"))

    assert upstream.requests[0].headers["authorization"] == "Bearer sk-secret"


async def test_without_a_key_no_authorization_is_sent(upstream: Upstream, connect: Connect) -> None:
    await deltas_of(connect())

    assert "authorization" not in upstream.requests[0].headers


async def test_credentials_in_the_address_are_sent_but_never_shown(
    upstream: Upstream, connect: Connect
) -> None:
    provider = connect(upstream.url.replace("//", "//user:hunter2@"), model=None)
    assert "hunter2" not in provider.model

    await deltas_of(provider)

    assert upstream.asked[0].headers["authorization"].startswith("Basic ")


async def test_a_slash_after_the_address_makes_no_difference(upstream: Upstream, connect: Connect) -> None:
    await deltas_of(connect(f"{upstream.url}/"))

    assert upstream.requests[0].path == "/v1/chat/completions"


async def test_without_a_model_the_first_listed_is_asked_for(upstream: Upstream, connect: Connect) -> None:
    upstream.models = ["first", "second"]
    provider = connect(model=None)

    await deltas_of(provider)

    assert upstream.asked[0].body["model"] == provider.model == "first"


async def test_models_are_listed_once(upstream: Upstream, connect: Connect) -> None:
    provider = connect(model=None)

    await asyncio.gather(deltas_of(provider), deltas_of(provider))
    await deltas_of(provider)

    assert [request.path for request in upstream.requests].count("/v1/models") == 1


async def test_until_a_model_is_known_the_server_stands_for_it(upstream: Upstream, connect: Connect) -> None:
    assert connect(model=None).model == f"127.0.0.1:{upstream.port}"


async def test_usage_and_the_way_it_finished_come_last(upstream: Upstream, connect: Connect) -> None:
    upstream.will_say("Cut", finish="length", usage=Usage(7, 512))

    deltas = await deltas_of(connect())

    assert deltas == [Delta(text="Cut"), Delta(finish="length"), Delta(usage=Usage(7, 512))]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_reasoning_is_told_from_the_text(upstream: Upstream, connect: Connect, name: str) -> None:
    upstream.will_say({"choices": [{"delta": {name: "Hm."}}]}, "Yes.")

    deltas = await deltas_of(connect())

    assert deltas[:2] == [Delta(reasoning="Hm."), Delta(text="Yes.")]


@pytest.mark.fault(9)
@pytest.mark.parametrize(
    "oddity",
    [
        b": ping\n\n",
        b"event: unknown\nid: 7\nretry: 10\n\n",
        b"data: {garbage\n\n",
        b"data: " + b"[" * 100_000 + b"\n\n",
        b"data: 17\n\n",
        b"data:\n\n",
        b"\n\n\n",
        {"choices": []},
        {"choices": None},
        {"choices": [{"delta": None}]},
        {"choices": [{"delta": {"role": "assistant"}}]},
        {"choices": [{"delta": {"content": None, "tool_calls": [{"index": 0}]}}]},
        {"choices": [{"delta": {"content": 17}}], "usage": {"prompt_tokens": "many"}},
        {"x": {"unknown": True}},
        {"error": None},
    ],
)
async def test_what_is_not_part_of_an_answer_is_passed_over(
    upstream: Upstream, connect: Connect, oddity: bytes | dict[str, object]
) -> None:
    upstream.will_say("One. ", oddity, "Two.")

    *said, end = await deltas_of(connect())
    assert "".join(map(str, said)) == "One. Two."
    assert sum(delta.pieces for delta in said) == 2
    assert end == Delta(finish="stop")


@pytest.mark.fault(11)
async def test_lines_may_end_as_in_windows_and_begin_with_a_byte_order_mark(
    upstream: Upstream, connect: Connect
) -> None:
    upstream.will_send_raw(
        b'\xef\xbb\xbfdata:{"choices":[{"delta":{"content":"Hi"}}]}\r\n\r\ndata: [DONE]\r\n\r\n'
    )

    assert text_of(await deltas_of(connect())) == "Hi"


async def test_a_stream_may_end_without_its_last_blank_line(upstream: Upstream, connect: Connect) -> None:
    upstream.will_send_raw(b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\ndata: [DONE]')

    assert text_of(await deltas_of(connect())) == "Hi"


async def test_a_reason_to_finish_will_do_without_done(upstream: Upstream, connect: Connect) -> None:
    upstream.will_say("Hi", done=False)

    assert text_of(await deltas_of(connect())) == "Hi"


async def test_nothing_after_done_is_waited_for(upstream: Upstream, connect: Connect) -> None:
    upstream.will_hang("Hi", b"data: [DONE]\n\n")

    assert text_of(await deltas_of(connect())) == "Hi"


@pytest.mark.fault(10)
@pytest.mark.fault(11)
async def test_characters_cut_by_the_network_arrive_whole(upstream: Upstream, connect: Connect) -> None:
    event = json.dumps({"choices": [{"delta": {"content": "Größe 😀"}}]}, ensure_ascii=False)
    body = f"data: {event}\n\ndata: [DONE]\n\n".encode()
    upstream.will_send_raw(*(body[at : at + 1] for at in range(len(body))))

    assert text_of(await deltas_of(connect())) == "Größe 😀"


@pytest.mark.fault(10)
async def test_a_large_piece_arrives_whole(upstream: Upstream, connect: Connect) -> None:
    upstream.will_say("x" * 2_000_000)

    assert len(text_of(await deltas_of(connect()))) == 2_000_000


async def test_stopping_closes_the_connection_at_once(upstream: Upstream, connect: Connect) -> None:
    upstream.will_say("One. ", PAUSE, "Two.")
    async with aclosing(prompt_llm_async(HELLO, provider=connect())) as deltas:
        await anext(deltas)
        started = time.monotonic()

    await asyncio.to_thread(upstream.wait_closed)

    assert time.monotonic() - started < 1


async def test_cancelling_the_task_closes_the_connection(upstream: Upstream, connect: Connect) -> None:
    upstream.will_hang()
    task = asyncio.create_task(deltas_of(connect()))
    await asyncio.to_thread(upstream.wait_asked)

    task.cancel()

    await asyncio.to_thread(upstream.wait_closed)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_more_than_a_hundred_answers_run_at_once(upstream: Upstream, connect: Connect) -> None:
    provider = connect()
    for _ in range(120):
        upstream.will_say(PAUSE, "Done.")
    answers = asyncio.gather(*(deltas_of(provider) for _ in range(120)))

    await asyncio.to_thread(upstream.wait_asked, 120)
    for _ in range(120):
        upstream.go_on()

    assert {text_of(deltas) for deltas in await answers} == {"Done."}


async def test_a_server_on_this_machine_is_never_asked_through_a_proxy(
    upstream: Upstream, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    upstream.will_say("Hi")

    assert text_of(await deltas_of(connect())) == "Hi"


async def test_other_servers_are_asked_through_the_proxy_that_is_set(
    upstream: Upstream, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", upstream.url.removesuffix("/v1"))
    monkeypatch.delenv("NO_PROXY", raising=False)
    upstream.will_say("Hi")

    assert text_of(await deltas_of(connect("http://models.invalid/v1"))) == "Hi"


@pytest.fixture
def slow_load(monkeypatch: pytest.MonkeyPatch) -> Event:
    """What is to be set before the HTTP client has been loaded."""
    loaded, load = Event(), openai._load_client

    def slow() -> type[Client]:
        assert loaded.wait(10)
        return load()

    monkeypatch.setattr(openai, "_load_client", slow)
    return loaded


async def test_a_provider_that_is_closed_while_its_client_is_loaded_asks_nobody(
    upstream: Upstream, connect: Connect, slow_load: Event
) -> None:
    provider = connect()
    asking = asyncio.create_task(deltas_of(provider))
    await asyncio.sleep(0)
    await provider.close()
    slow_load.set()

    with pytest.raises(ProviderError):
        await asking
    assert upstream.asked == []


async def test_loading_the_client_is_part_of_the_time_for_the_first_token(
    connect: Connect, slow_load: Event
) -> None:
    with pytest.raises(ProviderError, match="did not begin to answer"):
        await deltas_of(connect(first_token_seconds=0.05))
    slow_load.set()
