"""What went wrong at a server, as the person who asked is told."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import aclosing

import pytest

from app.providers import Delta, ProviderError, prompt_llm_async
from app.providers.openai import OpenAIProvider
from tests.providers.conftest import HELLO, Connect, hold_up
from tests.upstream import PAUSE, Upstream

SECRETS = {"message": "bad key sk-secret <script>", "internal": "sk-secret"}


async def failure_of(provider: OpenAIProvider) -> tuple[str, str, str]:
    """The kind of failure, its sentence, and the text that came before it."""
    text = ""
    try:
        async for delta in prompt_llm_async(HELLO, provider=provider):
            text += delta.text
    except ProviderError as error:
        return error.failure, str(error), text
    pytest.fail(f"it did not fail, and said {text!r}")


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nothing listens on, held so that nothing else takes it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.mark.fault(1)
@pytest.mark.fault(2)
@pytest.mark.parametrize(
    ("status", "error", "failure", "words"),
    [
        (400, SECRETS, "refused", "did not accept"),
        (401, SECRETS, "refused_key", "Check OPENAI_API_KEY"),
        (403, SECRETS, "refused_key", "Check OPENAI_API_KEY"),
        (404, SECRETS, "unknown_model", "“gpt-9”"),
        (400, {**SECRETS, "code": "model_not_found"}, "unknown_model", "“gpt-9”"),
        (402, SECRETS, "no_credit", "credit"),
        (429, SECRETS, "rate_limited", "more requests"),
        (429, {**SECRETS, "code": "insufficient_quota"}, "no_credit", "credit"),
        (400, {**SECRETS, "code": "context_length_exceeded"}, "too_long", "this long"),
        (413, SECRETS, "too_long", "this long"),
        (408, SECRETS, "timeout", "too long"),
        (500, SECRETS, "overloaded", "(500)"),
        (502, SECRETS, "overloaded", "(502)"),
        (503, SECRETS, "overloaded", "(503)"),
        (529, SECRETS, "overloaded", "(529)"),
    ],
)
async def test_each_status_has_its_words_and_repeats_nothing_the_server_said(
    upstream: Upstream, connect: Connect, status: int, error: dict[str, str], failure: str, words: str
) -> None:
    upstream.will_fail(status, {"error": error})

    found, sentence, _ = await failure_of(connect(key="sk-secret", model="gpt-9"))

    assert found == failure
    assert words in sentence
    assert f"127.0.0.1:{upstream.port}" in sentence
    assert "sk-secret" not in sentence
    assert "script" not in sentence


@pytest.mark.fault(1)
async def test_a_server_that_wants_a_key_is_told_from_one_that_refuses_it(
    upstream: Upstream, connect: Connect
) -> None:
    upstream.will_fail(401)

    _, sentence, _ = await failure_of(connect())

    assert "Set OPENAI_API_KEY" in sentence


@pytest.mark.parametrize(
    "error",
    [
        {"type": "exceed_context_size_error", "message": "…", "n_prompt_tokens": 9001, "n_ctx": 8192},
        {
            "code": "context_length_exceeded",
            "message": "This model's maximum context length is 8192 tokens. However, your messages "
            "resulted in 9001 tokens.",
        },
        {"type": "invalid_request_error", "message": "prompt is too long: 9001 tokens > 8192 maximum"},
    ],
)
async def test_a_conversation_that_is_too_long_is_told_in_tokens(
    upstream: Upstream, connect: Connect, error: dict[str, object]
) -> None:
    upstream.will_fail(400, {"error": error})

    failure, sentence, _ = await failure_of(connect())

    assert failure == "too_long"
    assert "9,001" in sentence
    assert "8,192" in sentence


async def test_a_redirect_is_not_followed(upstream: Upstream, connect: Connect) -> None:
    upstream.will_fail(307, location=f"{upstream.url}/elsewhere")

    failure, _, _ = await failure_of(connect())

    assert failure == "unreadable"
    assert len(upstream.requests) == 1


@pytest.mark.fault(5)
async def test_nothing_listening_a_missing_name_and_no_tls_have_words_of_their_own(
    upstream: Upstream, connect: Connect, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)

    refused = await failure_of(connect(f"http://127.0.0.1:{closed_port}/v1"))
    nameless = await failure_of(connect("http://models.invalid/v1"))
    insecure = await failure_of(connect(upstream.url.replace("http:", "https:")))

    assert {refused[0], nameless[0], insecure[0]} == {"unreachable"}
    assert "refused the connection" in refused[1]
    assert "no such name" in nameless[1]
    assert "secure" in insecure[1]


async def test_the_failure_to_list_models_is_the_failure_of_the_answer(
    connect: Connect, closed_port: int
) -> None:
    failure, _, _ = await failure_of(connect(f"http://127.0.0.1:{closed_port}/v1", model=None))

    assert failure == "unreachable"


async def test_a_server_without_models_asks_for_one_to_be_named(upstream: Upstream, connect: Connect) -> None:
    upstream.models = []

    failure, sentence, _ = await failure_of(connect(model=None))

    assert failure == "unknown_model"
    assert "Set MODEL" in sentence


async def test_no_headers_in_time_is_a_timeout_and_closes_the_connection(
    upstream: Upstream, connect: Connect
) -> None:
    upstream.will_hang()

    failure, sentence, _ = await failure_of(connect(first_token_seconds=0.2))

    assert failure == "timeout"
    assert "0.2 seconds" in sentence
    await asyncio.to_thread(upstream.wait_closed)


async def test_no_token_in_time_is_a_timeout_however_often_the_server_pings(
    upstream: Upstream, connect: Connect
) -> None:
    upstream.will_hang(*[b": ping\n\n"] * 10)

    failure, _, _ = await failure_of(connect(first_token_seconds=0.2))

    assert failure == "timeout"
    await asyncio.to_thread(upstream.wait_closed)


async def test_silence_within_an_answer_is_a_timeout_that_keeps_the_text(
    upstream: Upstream, connect: Connect
) -> None:
    upstream.will_hang("One. ")

    failure, sentence, text = await failure_of(connect(idle_seconds=0.2))

    assert (failure, text) == ("timeout", "One. ")
    assert "fell silent" in sentence
    await asyncio.to_thread(upstream.wait_closed)


async def test_a_process_that_was_held_up_has_still_to_hear_what_was_said(
    upstream: Upstream, connect: Connect
) -> None:
    upstream.will_say("One. ", PAUSE, "Two. ", PAUSE, "Three.")
    async with aclosing(prompt_llm_async(HELLO, provider=connect(idle_seconds=0.2))) as said:
        assert (await anext(said)).text == "One. "
        second = asyncio.ensure_future(anext(said))
        await asyncio.sleep(0)

        upstream.go_on()
        hold_up(0.4)

        assert (await second).text == "Two. "
        upstream.go_on()
        assert (await anext(said)).text == "Three."


async def test_a_slow_reader_is_not_taken_for_a_silent_server(upstream: Upstream, connect: Connect) -> None:
    upstream.will_say("One. ", "Two.")
    deltas: list[Delta] = []

    async for delta in prompt_llm_async(HELLO, provider=connect(idle_seconds=0.1)):
        await asyncio.sleep(0.15)  # The slowness that is tested.
        deltas.append(delta)

    assert "".join(map(str, deltas)) == "One. Two."


@pytest.mark.fault(8)
@pytest.mark.parametrize("reset", [False, True])
async def test_a_cut_within_an_answer_is_an_interruption_that_keeps_the_text(
    upstream: Upstream, connect: Connect, reset: bool
) -> None:
    upstream.will_cut("One. ", "Two.", reset=reset)

    failure, _, text = await failure_of(connect())

    assert failure == "interrupted"
    assert reset or text == "One. Two."


@pytest.mark.fault(8)
async def test_a_stream_that_just_ends_is_an_interruption(upstream: Upstream, connect: Connect) -> None:
    upstream.will_say("One. ", finish=None, done=False)

    failure, _, text = await failure_of(connect())

    assert (failure, text) == ("interrupted", "One. ")


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        ({"message": "sk-secret"}, "interrupted"),
        ("sk-secret", "interrupted"),
        ({"code": 502, "message": "sk-secret"}, "overloaded"),
        ({"code": 429, "message": "sk-secret"}, "rate_limited"),
        ({"type": "overloaded_error", "message": "sk-secret"}, "overloaded"),
        ({"type": "exceed_context_size_error", "message": "sk-secret"}, "too_long"),
    ],
)
async def test_an_error_in_place_of_a_piece_ends_the_answer(
    upstream: Upstream, connect: Connect, error: object, failure: str
) -> None:
    upstream.will_say("One. ", {"error": error}, "Two.")

    found, sentence, text = await failure_of(connect())

    assert (found, text) == (failure, "One. ")
    assert "sk-secret" not in sentence


@pytest.mark.fault(9)
@pytest.mark.parametrize(
    "page", [b"<!doctype html>\n<title>502</title>\n", b'{"object": "page", "name": "x"}\n', b"  <html>\n"]
)
async def test_a_page_within_the_stream_is_unreadable(
    upstream: Upstream, connect: Connect, page: bytes
) -> None:
    upstream.will_say("One. ", page)

    assert (await failure_of(connect()))[0] == "unreadable"


@pytest.mark.fault(9)
@pytest.mark.parametrize("content_type", ["text/html", "application/json"])
async def test_another_content_type_is_unreadable(
    upstream: Upstream, connect: Connect, content_type: str
) -> None:
    upstream.will_send_raw(b"<h1>Welcome</h1>", content_type=content_type)

    assert (await failure_of(connect()))[0] == "unreadable"


@pytest.mark.fault(13)
async def test_a_packed_stream_is_not_unpacked(upstream: Upstream, connect: Connect) -> None:
    upstream.will_send_raw(b"\x1f\x8b", content_encoding="gzip")

    assert (await failure_of(connect()))[0] == "unreadable"


@pytest.mark.fault(13)
async def test_an_endless_event_is_cut_off(upstream: Upstream, connect: Connect) -> None:
    upstream.will_send_raw(b"data: ", *[b"x" * 1_000_000] * 20)

    assert (await failure_of(connect()))[0] == "unreadable"
    await asyncio.to_thread(upstream.wait_closed)


@pytest.mark.parametrize(
    ("base_url", "key", "model", "words"),
    [
        ("https://api.openai.com/v1", "sk-1", None, "set MODEL"),
        ("localhost:11434/v1", None, "x", "OPENAI_BASE_URL"),
        ("http://", None, "x", "OPENAI_BASE_URL"),
        ("http://models.invalid:port/v1", None, "x", "OPENAI_BASE_URL"),
        ("https://models.invalid/v1", "sk-1\nsk-2", "x", "OPENAI_API_KEY"),
        ("https://models.invalid/v1", "sk-“1”", "x", "OPENAI_API_KEY"),
    ],
)
async def test_settings_that_can_never_work_say_so_before_anything_is_asked(
    connect: Connect, base_url: str, key: str | None, model: str | None, words: str
) -> None:
    provider = connect(base_url, key=key, model=model)

    assert provider.state.name == "unavailable"
    assert words in provider.state.sentence
    assert (await failure_of(provider))[:2] == ("unavailable", provider.state.sentence)


@pytest.mark.fault(3)
@pytest.mark.parametrize(
    ("status", "retry_after", "least", "most"),
    [
        (429, "2", 2, 2),
        (429, "0", 0, 0),
        (429, None, 1, 3),
        (429, "soon", 1, 3),
        (429, "Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        (500, None, 1, 3),
        (502, "30", 30, 30),
        (529, None, 1, 3),
    ],
)
async def test_a_server_that_is_only_busy_says_when_to_ask_again(
    upstream: Upstream, connect: Connect, status: int, retry_after: str | None, least: float, most: float
) -> None:
    upstream.will_fail(status, {}, **({"retry_after": retry_after} if retry_after else {}))

    seconds = await retry_seconds_of(connect())

    assert seconds is not None
    assert least <= seconds <= most


@pytest.mark.parametrize(
    ("status", "error", "headers"),
    [
        (429, {}, {"retry_after": "31"}),
        (429, {"code": "insufficient_quota"}, {}),
        (401, {}, {"retry_after": "1"}),
        (400, {}, {}),
        (404, {}, {}),
    ],
    ids=["later than anyone waits", "no credit", "a refused key", "a refused request", "no such model"],
)
async def test_what_would_fail_again_says_never(
    upstream: Upstream, connect: Connect, status: int, error: dict[str, str], headers: dict[str, str]
) -> None:
    upstream.will_fail(status, {"error": error}, **headers)

    assert await retry_seconds_of(connect(key="sk-secret")) is None


async def retry_seconds_of(provider: OpenAIProvider) -> float | None:
    with pytest.raises(ProviderError) as caught:
        await anext(prompt_llm_async(HELLO, provider=provider))
    return caught.value.retry_seconds
