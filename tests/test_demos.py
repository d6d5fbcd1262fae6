"""The tutorial's endpoints: a stream of tokens, and JSON that is checked and given back."""

import httpx2
import pytest

from app.routes.demos import PAUSES, TOKENS
from tests.pages import events


async def test_the_example_stream_is_a_fixed_sequence_that_ends_with_done(client: httpx2.AsyncClient) -> None:
    async with client.stream("GET", "/stream-example") as response:
        received = [event async for event in events(response)]

    assert [event.data for event in received[:-1]] == TOKENS
    assert [int(event.id or 0) for event in received[:-1]] == [
        len("".join(TOKENS[: n + 1])) for n in range(len(TOKENS))
    ]
    assert received[-1].event == "done"
    assert len(set(PAUSES)) > 5
    assert sum(PAUSES) < 1.5


async def test_a_prompt_as_json_is_given_back(client: httpx2.AsyncClient) -> None:
    response = await client.post("/prompt_data", json={"prompt": "Hello\nthere 😀"})

    assert response.json() == {"prompt": "Hello\nthere 😀"}


@pytest.mark.parametrize(
    "body",
    ['{"prompt": ""}', '{"prompt": "  "}', "{}", "[]", '{"prompt": 5}', '{"prompt": null}', "garbage", ""],
)
async def test_json_without_a_prompt_is_refused_with_the_reason(
    client: httpx2.AsyncClient, body: str
) -> None:
    response = await client.post("/prompt_data", content=body, headers={"Content-Type": "application/json"})

    assert response.status_code == 422
    assert response.json()["detail"][0]["msg"]


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "text/json",
        "multipart/form-data; boundary=json",
        "application/x-www-form-urlencoded",
        None,
    ],
)
@pytest.mark.parametrize("accept", ["*/*", "text/html"])
async def test_json_that_is_not_called_so_is_refused_with_the_header_that_is_missing(
    client: httpx2.AsyncClient, kind: str | None, accept: str
) -> None:
    headers = {"Accept": accept} | ({"Content-Type": kind} if kind else {})

    response = await client.post("/prompt_data", content='{"prompt": "Hello"}', headers=headers)

    assert response.status_code == 422
    assert "JSON is expected here, with the header Content-Type: application/json." in response.text


@pytest.mark.parametrize(
    "body",
    [
        b'{"prompt": NaN}',
        b'{"prompt": -Infinity}',
        b'{"prompt": "\\ud800"}',
        b'{"\\ud800": 1}',
        b'{"prompt": "\xed\xa0\x80"}',
        b"\xff\xfe\x00",
        b"[" * 50_000,
    ],
)
@pytest.mark.parametrize(
    "kind", ["application/json", "text/plain", "multipart/form-data", "application/x-www-form-urlencoded"]
)
async def test_what_is_not_even_text_is_the_senders_fault(
    client: httpx2.AsyncClient, body: bytes, kind: str
) -> None:
    response = await client.post("/prompt_data", content=body, headers={"Content-Type": kind})

    assert 400 <= response.status_code < 500
    assert response.json()["detail"]


async def test_the_description_has_the_endpoints_with_examples(client: httpx2.AsyncClient) -> None:
    description = (await client.get("/openapi.json")).json()

    assert {"/", "/completion", "/completion/{message_id}", "/stream-example", "/prompt_data"} == set(
        description["paths"]
    )
    assert "data: Hello" in str(description["paths"]["/completion"]["post"]["responses"]["200"])
    assert (
        "text/event-stream" in description["paths"]["/stream-example"]["get"]["responses"]["200"]["content"]
    )
    assert "Hello" in str(description["components"]["schemas"]["PromptData"])
