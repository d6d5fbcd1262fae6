"""What POST /completion refuses, in words, with what was typed kept."""

import httpx2
import pytest

from app.providers.scripted import ScriptedProvider
from tests.pages import select

HTMX = {"HX-Request": "true"}
BROWSER = {"Accept": "text/html"}


@pytest.mark.parametrize("prompt", ["", "   \n\t "])
@pytest.mark.parametrize("headers", [HTMX, BROWSER, {}])
async def test_a_blank_prompt_is_refused_in_words(
    client: httpx2.AsyncClient, prompt: str, headers: dict[str, str]
) -> None:
    response = await client.post("/completion", data={"prompt": prompt}, headers=headers)

    assert response.status_code == 422
    assert "Please write a message first." in response.text


@pytest.mark.parametrize("headers", [HTMX, BROWSER, {}])
async def test_json_in_the_place_of_a_form_is_told(
    client: httpx2.AsyncClient, headers: dict[str, str]
) -> None:
    response = await client.post("/completion", json={"prompt": "Hi"}, headers=headers)

    assert response.status_code == 415
    assert "A form is expected here, with the message in its field prompt." in response.text


async def test_what_is_called_almost_a_form_is_none(client: httpx2.AsyncClient) -> None:
    kind = {"Content-Type": "application/x-www-form-urlencodedx"}

    assert (await client.post("/completion", content="prompt=Hi", headers=kind)).status_code == 415


async def test_a_program_is_told_where_the_message_belongs(client: httpx2.AsyncClient) -> None:
    # As `curl -d '{"prompt": "Hi"}'` sends it.
    response = await client.post("/completion", data={'{"prompt": "Hi"}': ""})

    assert response.status_code == 422
    assert response.json()["detail"].endswith("with the message in its field prompt.")


async def test_a_prompt_over_the_limit_is_refused_with_its_text_still_in_the_form(
    client: httpx2.AsyncClient,
) -> None:
    prompt = "word " * 40_001

    response = await client.post("/completion", data={"prompt": prompt}, headers=BROWSER)

    assert response.status_code == 413
    assert select(response, "#notice .problem") == [
        "This message has 200,005 characters; at most 200,000 can be sent at once."
    ]
    assert select(response, "#prompt", strip=False) == ["\n" + prompt]  # a browser drops the first newline


async def test_a_body_over_the_limit_is_refused_before_it_is_read(client: httpx2.AsyncClient) -> None:
    response = await client.post("/completion", data={"prompt": "x" * 2_000_001}, headers=HTMX)

    assert response.status_code == 413
    assert "2,000,000 bytes" in response.text


@pytest.mark.parametrize(
    "form",
    [
        {"prompt": "Hi", "conversation": "abc"},
        {"prompt": "Hi", "conversation": "-1"},
        {"prompt": "Hi", "conversation": "9" * 40},
        {"prompt": "Hi", "conversation": "1".rjust(20, "0") + "9" * 30},
        {"prompt": "Hi", "conversation": "1".rjust(20, "0") + "9" * 5000},
        {"prompt": "Hi", "conversation": "424242"},
        {"prompt": ""},
        {},
    ],
)
@pytest.mark.parametrize("headers", [HTMX, BROWSER, {}])
async def test_garbage_in_a_field_is_the_senders_fault(
    client: httpx2.AsyncClient, form: dict[str, str], headers: dict[str, str]
) -> None:
    response = await client.post("/completion", data=form, headers=headers)

    assert 400 <= response.status_code < 500


async def test_control_characters_and_lone_surrogates_are_replaced_not_refused(
    client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.will_say("A\x00B\ud800", "C")

    response = await client.post(
        "/completion",
        content=b"prompt=a%00b%ED%A0%80c",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )

    assert response.status_code == 200
    assert "A\ufffdB\ufffdC" in "".join(
        line[6:] for line in response.text.splitlines() if line.startswith("data: ")
    )


async def test_a_file_in_the_place_of_a_prompt_is_refused(client: httpx2.AsyncClient) -> None:
    response = await client.post("/completion", files={"prompt": ("a.txt", b"Hi")}, headers=HTMX)

    assert response.status_code == 422


@pytest.mark.parametrize("conversation", ["99", "abc", "-1", "9" * 40])
async def test_a_prompt_for_a_conversation_that_is_gone_is_kept_in_the_form(
    client: httpx2.AsyncClient, conversation: str
) -> None:
    form = {"prompt": "Do not lose me", "conversation": conversation}

    response = await client.post("/completion", data=form, headers=BROWSER)

    assert response.status_code == 404
    assert select(response, "#prompt") == ["Do not lose me"]
    assert "deleted" in select(response, "#notice .problem")[0]


@pytest.mark.parametrize("path", ["/completion", "/draft"])
async def test_half_characters_in_any_field_are_no_fault_of_ours(
    client: httpx2.AsyncClient, path: str
) -> None:
    field = '--b\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    half = "\\ud800"
    body = (
        "".join(field.format(name, half) for name in ("prompt", "form_token", "conversation")) + "--b--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=b; charset=unicode_escape"}

    response = await client.post(path, content=body.encode(), headers=headers)

    assert response.status_code < 500
