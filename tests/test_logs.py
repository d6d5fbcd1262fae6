"""Logs: every line says which request it belongs to, on one line, and none holds what people wrote."""

import json
import logging
import logging.handlers
import re
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.access import HEADER
from app.db import Database
from app.logs import ACCESS, ORIGIN, JsonLines, Origin, TextLines
from app.main import create_app
from app.refusals import Unavailable
from app.settings import Settings
from e2e.server import Server
from tests.conftest import serving
from tests.upstream import Upstream

ROOT = Path(__file__).parent.parent


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> Iterator[list[logging.LogRecord]]:
    """What is logged, as our handler sees it."""
    handler = logging.handlers.BufferingHandler(1000)
    handler.addFilter(Origin())
    logger = logging.getLogger("app")
    logger.addHandler(handler)
    with caplog.at_level(logging.DEBUG, "app"):
        yield handler.buffer
    logger.removeHandler(handler)


@pytest.mark.parametrize(
    ("method", "address", "headers"),
    [
        ("GET", "/", {}),
        ("GET", "/nothing", {}),
        ("DELETE", "/", {}),
        ("GET", "/static/nothing", {}),
        ("GET", "/healthz", {}),
        ("GET", "/stream-example", {}),
        ("GET", "/completion/12", {}),
        ("POST", "/completion", {"Origin": "https://elsewhere.example"}),
        ("GET", "/", {"Host": "elsewhere.example"}),
    ],
)
async def test_each_response_has_an_id_of_its_own(
    client: httpx2.AsyncClient, method: str, address: str, headers: dict[str, str]
) -> None:
    ids = {(await client.request(method, address, headers=headers)).headers[HEADER] for _ in range(2)}

    assert len(ids) == 2
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in ids)


async def test_a_fault_of_ours_is_told_with_the_id_that_the_log_has(
    app: FastAPI, records: list[logging.LogRecord]
) -> None:
    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("a fault")

    async with serving(app) as url, httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        response = await client.get("/broken")

    assert response.status_code == 500
    [line] = [record for record in records if record.name == "app.errors"]
    assert getattr(line, "request_id", None) == response.headers[HEADER]


@pytest.mark.parametrize(
    ("proxys", "taken"),
    [
        ("5f1c-77aa", True),
        ("Root=1-67891233-abcdef012345678912345678", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("a b", False),
        ("a\tb", False),
        ('"><script>', False),
        ("ö", False),
        ("", False),
    ],
)
async def test_a_proxys_id_is_taken_over_where_it_is_sane(
    client: httpx2.AsyncClient, proxys: str, *, taken: bool
) -> None:
    response = await client.get("/healthz", headers=[(HEADER.encode(), proxys.encode())])

    assert (response.headers[HEADER] == proxys) is taken


async def test_what_a_request_began_is_logged_with_its_id_and_the_answers(
    store: str, records: list[logging.LogRecord]
) -> None:
    async def broken(_: object) -> AsyncIterator[str]:
        logging.getLogger("app").info("asked")
        yield "One"
        raise RuntimeError("a fault in a generator")

    async with (
        serving(create_app(Settings(database_url=store), generate=broken)) as url,
        httpx2.AsyncClient(base_url=url, trust_env=False) as client,
    ):
        for prompt in ("Hi", "Hello"):
            response = await client.post("/completion", data={"prompt": prompt})
            answer = int(response.headers["content-location"].rpartition("/")[2])
            lines = [record for record in records if getattr(record, "answer_id", None) == answer]

            assert "while it was answering. The server's log says more." in response.text
            assert [line.getMessage() for line in lines] == ["asked", f"answer {answer} failed"]
            assert {getattr(line, "request_id", None) for line in lines} == {response.headers[HEADER]}


async def test_a_line_for_each_request_says_what_was_asked_and_how_it_went(
    client: httpx2.AsyncClient, records: list[logging.LogRecord]
) -> None:
    response = await client.get("/completion/12?from=3&q=open+sesame", headers={"Last-Event-ID": "7"})
    await client.get("/no%0Athing%1b[31m")
    await client.get("/healthz")

    first, second, health = [record for record in records if record.name == "app.access"]
    told = vars(first)
    assert (told["method"], told["path"], told["status"]) == ("GET", "/completion/12", 200)
    assert (told["request_id"], told["levelname"]) == (response.headers[HEADER], "INFO")
    assert 0 <= told["seconds"] < 10
    assert re.fullmatch(r"GET /completion/12: 200 in \d\.\d{3} s", first.getMessage())
    assert vars(second)["path"] == "/no%0Athing%1B%5B31m"
    assert health.levelname == "DEBUG"
    assert not any("sesame" in f"{vars(record)}" for record in (first, second, health))


@pytest.mark.parametrize("store", ["sqlite", "postgresql"], indirect=True)
async def test_no_error_of_the_database_holds_what_was_sent_to_it(database: Database) -> None:
    prompt = " ".join(("open", "sesame"))  # the lines of this test are in the traceback
    with pytest.raises((DBAPIError, Unavailable)) as caught:
        async with database.writing() as session:
            await session.execute(text("INSERT INTO nowhere VALUES (:prompt)"), {"prompt": prompt})

    logged = "".join(traceback.format_exception(caught.value))
    assert "nowhere" in logged
    assert "sesame" not in logged


def record(message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    """A record as a logger makes it, with an exception where one is being handled."""
    fault = sys.exc_info() if sys.exception() else None
    return logging.getLogger("app.part").makeRecord(
        "app.part", logging.WARNING, __file__, 1, message, arguments, fault, extra=extra
    )


def test_a_line_of_json_holds_all_there_is_to_say_an_exception_included() -> None:
    try:
        raise RuntimeError("first line\nsecond line")
    except RuntimeError:
        line = JsonLines().format(record("“%s”\nfailed", "it", request_id="r1", answer_id=12))

    assert "\n" not in line
    told = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told.pop("time"))
    exception = told.pop("exception")
    assert exception.startswith("Traceback")
    assert exception.endswith("RuntimeError: first line\nsecond line")
    assert told == {
        "level": "warning",
        "logger": "app.part",
        "message": "“it”\nfailed",
        "request_id": "r1",
        "answer_id": 12,
    }


def test_a_line_of_text_cannot_be_made_to_look_like_two() -> None:
    line = TextLines().format(record("%s", "one\n2026 ERROR\r\x1b[31m\u2028two", request_id="r1"))

    assert line.splitlines() == [line]
    assert line.endswith(r"Z WARNING app.part: one\n2026 ERROR\r\x1b[31m\u2028two [request_id=r1]")


def run(program: str) -> str:
    """What a process says to standard error whose log is set up as JSON."""
    setup = "import logging, warnings\nfrom app import logs\nlogs.configure('json', 'debug')\n"
    return subprocess.run(
        [sys.executable, "-c", setup + program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    ).stderr


def test_every_librarys_lines_are_alike_and_only_ours_are_told_below_a_warning() -> None:
    said = run(
        "names = ['app.generation', 'uvicorn.error', 'sqlalchemy.engine', 'aiosqlite', 'sse_starlette.sse']\n"
        "for name in names:\n"
        "    logging.getLogger(name).debug('what is sent')\n"
        "    logging.getLogger(name).warning('a warning')\n"
        "    try:\n"
        "        raise ValueError('a fault')\n"
        "    except ValueError:\n"
        "        logging.getLogger(name).exception('an error')\n"
        "warnings.warn('something old')\n"
    )

    lines = [json.loads(line) for line in said.splitlines()]
    names = ["app.generation", "uvicorn.error", "sqlalchemy.engine", "aiosqlite", "sse_starlette.sse"]
    assert [line["logger"] for line in lines if line["message"] == "what is sent"] == names[:2]
    assert [line["logger"] for line in lines if line["message"] == "a warning"] == names
    assert [line["logger"] for line in lines if "ValueError: a fault" in line.get("exception", "")] == names
    assert lines[-1]["logger"] == "py.warnings"


def test_all_that_a_server_says_is_json_and_none_of_it_what_people_or_models_wrote(tmp_path: Path) -> None:
    with (
        Upstream() as upstream,
        Server(
            tmp_path,
            openai_base_url=upstream.url,
            model="m",
            openai_api_key="sk-sesame",
            log_format="JSON",
            log_level="debug",
        ) as server,
        httpx2.Client(base_url=server.url, trust_env=False) as client,
    ):
        upstream.will_say("sesame was the answer")
        upstream.will_fail(500, "sesame was the error")
        upstream.will_fail(401, {"error": {"message": "sesame is no key"}})
        ids = [
            client.post("/completion?q=sesame", data={"prompt": "open sesame"}).headers[HEADER]
            for _ in range(2)
        ]
        client.get("/?q=sesame")
        server.stop()

    assert "sesame" not in server.log
    lines = [json.loads(line) for line in server.log.splitlines()]
    assert {"app.access", "app.providers.client", "uvicorn.error"} <= {line["logger"] for line in lines}
    assert [line["request_id"] for line in lines if line.get("path") == "/completion"] == ids
    troubles = [line for line in lines if line["logger"] == "app.providers.client"]
    assert {(line["request_id"], line["answer_id"]) for line in troubles} == {(ids[1], 4)}


def test_a_server_that_is_not_asked_to_say_more_says_where_it_listens_and_nothing_else(
    tmp_path: Path,
) -> None:
    with Server(tmp_path, openai_base_url="http://127.0.0.1:9/v1", model="m") as server:
        httpx2.get(server.url, trust_env=False)
        server.stop()

    assert server.log == ""


def test_the_documented_fields_are_the_fields() -> None:
    documented = (ROOT / "docs" / "observability.md").read_text().partition("## Logs")[2]
    rows = re.findall(r"^\| (`.*?) \|", documented, re.MULTILINE)

    fields = {"time", "level", "logger", "message", *ORIGIN, *ACCESS, "exception", "stack"}
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == fields
