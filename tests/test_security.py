"""Headers on every answer, and what is refused before any route sees it."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request

from app import templating
from app.main import create_app
from app.providers.scripted import PAUSE, ScriptedProvider
from app.security import HEADERS
from app.settings import Settings
from tests.conftest import serving

BROWSER = {"Accept": "text/html"}


def check_headers(response: httpx2.Response) -> str:
    """Every header of the set is there; the nonce that the policy names."""
    policy = response.headers["content-security-policy"]
    found = re.fullmatch(
        r"default-src 'none'; script-src 'nonce-([A-Za-z0-9_-]{24})'; style-src 'self'; "
        r"img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        r"frame-ancestors 'none'; "
        r"require-trusted-types-for 'script'; trusted-types htmx",
        policy,
    )
    assert found, policy
    assert {name: response.headers.get(name) for name in HEADERS} == HEADERS
    return found.group(1)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/demo", 200),
        ("GET", "/stream-example", 200),
        ("GET", "/completion/9", 200),
        ("GET", "/completion/9/fragments", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/offline", 200),
        ("GET", "/model", 200),
        ("GET", "/docs", 404),
        ("GET", "/redoc", 404),
        ("GET", "/nothing/here", 404),
        ("GET", "/conversations/99", 404),
        ("GET", "/conversations/abc", 404),
        ("GET", "/conversations/-1", 404),
        ("GET", "/conversations/" + "9" * 30, 404),
        ("GET", "/static/nothing.css", 404),
        ("DELETE", "/", 405),
        ("POST", "/completion", 422),
    ],
)
async def test_every_answer_carries_the_headers(
    client: httpx2.AsyncClient, method: str, path: str, status: int
) -> None:
    response = await client.request(method, path, headers=BROWSER)

    assert response.status_code == status
    check_headers(response)
    assert "access-control-allow-origin" not in response.headers


async def test_a_fault_of_ours_is_a_page_with_the_headers_and_without_a_trace(
    app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/broken")
    async def broken(request: Request) -> None:
        raise RuntimeError("secret detail")

    async with serving(app) as url, httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        response = await client.get("/broken", headers=BROWSER)

    assert response.status_code == 500
    check_headers(response)
    assert "secret detail" not in response.text
    assert "secret detail" in caplog.text


async def test_where_the_page_of_an_error_is_broken_too_its_sentence_is_told(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = shutil.copytree(templating.TEMPLATES, tmp_path / "templates")
    monkeypatch.setattr(templating, "TEMPLATES", folder)
    (folder / "layout.html").write_text("{# A layout. #}{% if %}")
    app = create_app(Settings(database_url=store), provider=ScriptedProvider())

    async with serving(app) as url, httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        responses = [await client.get(path, headers=BROWSER) for path in ("/", "/nowhere")]
        refused = await client.get("/", headers={**BROWSER, "Host": "evil.example"})

    for response in (*responses, refused):
        assert response.status_code == 500
        assert response.text.endswith("the server's log says more.")
        check_headers(response)
    assert "TemplateSyntaxError" in caplog.text


async def test_what_an_address_takes_instead_is_said(client: httpx2.AsyncClient) -> None:
    for headers in (BROWSER, {}):
        response = await client.delete("/completion", headers=headers)

        assert (response.status_code, response.headers["allow"]) == (405, "POST")


async def test_the_nonce_of_a_page_is_fresh_and_on_all_that_needs_it(client: httpx2.AsyncClient) -> None:
    first, second = [await client.get("/", headers=BROWSER) for _ in range(2)]

    nonce = check_headers(first)
    assert nonce != check_headers(second)
    assert set(re.findall(r'nonce="([^"]+)"', first.text)) == {nonce}
    # The first of a script is what the page goes by: nothing that was said may come before it.
    assert "<script nonce=" in first.text.partition("</head>")[0]
    assert first.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({}, 200),
    ],
)
async def test_another_sites_request_changes_nothing(
    client: httpx2.AsyncClient, headers: dict[str, str], status: int
) -> None:
    response = await client.post("/prompt_data", json={"prompt": "Hi"}, headers=headers)

    assert response.status_code == status
    check_headers(response)


async def test_our_own_origin_is_let_through_without_fetch_metadata(client: httpx2.AsyncClient) -> None:
    response = await client.post(
        "/prompt_data", json={"prompt": "Hi"}, headers={"Origin": str(client.base_url).rstrip("/")}
    )

    assert response.status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "localhost.evil.example", "", "[::1", "10.0.0.5", "a" * 5000],
)
async def test_a_name_that_is_not_ours_is_not_answered(client: httpx2.AsyncClient, host: str) -> None:
    response = await client.get("/", headers={"Host": host})

    assert response.status_code == 400
    check_headers(response)


@pytest.mark.parametrize("host", ["localhost", "localhost:9999", "127.0.0.1", "[::1]:8000", "LOCALHOST"])
async def test_the_names_of_this_machine_are_answered(client: httpx2.AsyncClient, host: str) -> None:
    assert (await client.get("/", headers={"Host": host})).status_code == 200


async def test_an_open_server_answers_to_addresses_and_to_the_names_it_was_given(settings: Settings) -> None:
    opened = settings.model_copy(update={"open_to_network": True, "allowed_hosts": ("chat.example",)})
    app = create_app(opened, provider=ScriptedProvider())

    async with serving(app) as url, httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        answers = {
            host: (await client.get("/", headers={"Host": host})).status_code
            for host in ("10.0.0.5:8000", "chat.example", "other.example")
        }

    assert answers == {"10.0.0.5:8000": 200, "chat.example": 200, "other.example": 400}


@pytest.mark.parametrize("length", ["-5", "abc", "1e9", "9" * 5000])
async def test_a_length_that_lies_is_refused(client: httpx2.AsyncClient, length: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
    writer.write(
        f"POST /prompt_data HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{{}}".encode()
    )

    first_line = await reader.readline()

    writer.close()
    assert first_line.split()[1] in (b"400", b"413")


async def test_a_body_without_a_length_is_cut_off_at_the_limit(client: httpx2.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"prompt="
        for _ in range(300):
            yield b"x" * 10_000

    response = await client.post(
        "/completion", content=endless(), headers={"Content-Type": "application/x-www-form-urlencoded"}
    )

    assert response.status_code == 413
    check_headers(response)


async def test_a_body_behind_a_request_for_a_stream_is_passed_over(
    client: httpx2.AsyncClient, provider: ScriptedProvider, caplog: pytest.LogCaptureFixture
) -> None:
    provider.will_say("Hm. ", PAUSE, "Yes.")
    async with client.stream("POST", "/completion", data={"prompt": "Hi"}) as answer:
        await anext(answer.aiter_raw())
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        writer.write(b"GET /completion/2 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        await reader.readuntil(b"Hm. \n\n")

        for _ in range(300):
            writer.write(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
        await writer.drain()
        provider.go_on()
        async with asyncio.timeout(5):
            await reader.readuntil(b"event: done\ndata: complete\n\n")

    writer.close()
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("charset", ["punycode", "IDNA", '"punycode"', "unicode_escape"])
async def test_a_form_in_a_character_set_that_takes_minutes_to_read_is_refused(
    client: httpx2.AsyncClient, charset: str
) -> None:
    field = '--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n'
    headers = {"Content-Type": f"Multipart/Form-Data; boundary=b; Charset={charset}"}

    async with asyncio.timeout(2):
        response = await client.post(
            "/draft", content=f"{field}{'a' * 500_000}\r\n--b--\r\n", headers=headers
        )

    assert response.status_code == 415
    check_headers(response)


@pytest.mark.parametrize("charset", ["", "; charset=utf-8", '; charset="UTF-8"', "; charset=utf8"])
async def test_a_form_of_parts_in_utf_8_is_read(client: httpx2.AsyncClient, charset: str) -> None:
    field = '--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nHé\r\n--b--\r\n'
    headers = {"Content-Type": f"multipart/form-data; boundary=b{charset}"}

    response = await client.post("/completion", content=field.encode(), headers=headers)

    assert "Hé" in response.text


async def test_of_an_errors_own_headers_only_those_that_are_not_of_its_body_are_sent(
    app: FastAPI, client: httpx2.AsyncClient
) -> None:
    @app.get("/teapot")
    async def teapot() -> None:
        headers = {"content-length": "3", "Content-Type": "text/plain", "retry-after": "7", "X-A": "b"}
        raise HTTPException(418, headers=headers)

    response = await client.get("/teapot", headers={"Accept": "text/html"})

    assert response.status_code == 418
    assert response.headers["Retry-After"] == "7"
    assert response.headers["Content-Type"].startswith("text/html")
    assert int(response.headers["Content-Length"]) > 3
    assert "X-A" not in response.headers
