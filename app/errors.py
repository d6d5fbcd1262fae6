"""Error answers: one sentence, as a fragment for htmx, a page for a browser, JSON for a program."""

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import schema
from app.db import Unavailable
from app.problems import Problem
from app.readers import Reader, reader_of
from app.templating import page
from app.text import clean

SENTENCES = {
    404: "There is nothing at this address. It may have been deleted.",
    405: "This address does not take that kind of request.",
    500: "Something went wrong on this server. What was stored is safe; the server's log says more.",
}

JSON_EXPECTED = "JSON is expected here, with the header Content-Type: application/json."

KEPT_HEADERS = ("Allow", "Retry-After", "WWW-Authenticate")
"""Of an error's own headers: others say something of its body, which is not the one that is sent."""

RETRY_SECONDS = 5
WRONG_SCHEMA = (
    "The database is not ready for this version of the program. Whoever runs it finds more in its log."
)

_log = logging.getLogger(__name__)


def answer(request: Request, problem: Problem, unsent: dict[str, str] | None = None) -> Response:
    """A problem, for whoever asked; a page holds what was `unsent`, in a form that can be sent again."""
    context: dict[str, Any] = {
        "code": problem.status,
        "title": HTTPStatus(problem.status).phrase,
        "sentence": problem.sentence,
        "form_token": problem.form_token,
        "unsent": unsent,
    }
    headers = problem.headers
    match reader_of(request):
        case Reader.HTMX:
            return page(request, "errors/_problem.html", status=problem.status, headers=headers, **context)
        case Reader.BROWSER:
            return page(request, "errors/problem.html", status=problem.status, headers=headers, **context)
        case Reader.SCRIPT:
            return JSONResponse({"detail": problem.sentence}, status_code=problem.status, headers=headers)


def refused(error: Unavailable) -> Problem:
    """What to tell whoever asked for something while the database refuses."""
    return Problem(507 if error.full else 503, str(error), retry_after=RETRY_SECONDS)


def add_handlers(app: FastAPI) -> None:
    """Answer Problems, HTTP errors and invalid fields raised inside routes."""

    @app.exception_handler(Problem)
    async def on_problem(request: Request, error: Problem) -> Response:
        return answer(request, error, await _unsent(request))

    @app.exception_handler(Unavailable)
    async def on_unavailable(request: Request, error: Unavailable) -> Response:
        _log.warning("%s %s: %s", request.method, request.url.path, error)
        return answer(request, refused(error), await _unsent(request))

    @app.exception_handler(schema.Wrong)
    async def on_wrong_schema(request: Request, error: schema.Wrong) -> Response:
        _log.error("%s", error)
        return answer(request, Problem(503, WRONG_SCHEMA, retry_after=RETRY_SECONDS), await _unsent(request))

    @app.exception_handler(HTTPException)
    async def on_http_error(request: Request, error: HTTPException) -> Response:
        sentence = SENTENCES.get(error.status_code, str(error.detail))
        response = answer(request, Problem(error.status_code, sentence))
        own = Headers(error.headers)
        response.headers.update({name: own[name] for name in KEPT_HEADERS if name in own})
        return response

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> Response:
        places = [place for detail in error.errors() for place in [detail["loc"]]]
        if any(place[0] == "path" for place in places):
            return answer(request, Problem(404, SENTENCES[404]))
        # The whole body is not what was expected, and by its header it is no JSON.
        no_json = ("body",) in places and not _is_json(request)
        if reader_of(request) is Reader.SCRIPT:
            # Without what was sent: it need not be anything that JSON can hold.
            details = [{name: detail[name] for name in ("type", "loc", "msg")} for detail in error.errors()]
            if no_json:
                details = [
                    detail | {"msg": JSON_EXPECTED} if detail["loc"] == ("body",) else detail
                    for detail in details
                ]
            return JSONResponse(jsonable_encoder({"detail": details}), status_code=422)
        if no_json:
            return answer(request, Problem(422, JSON_EXPECTED))
        fields = ", ".join(sorted({str(place[-1])[:40] for place in places}))
        return answer(
            request,
            Problem(422, f"The form was not understood ({fields}). Nothing was sent; please try again."),
        )


async def _unsent(request: Request) -> dict[str, str] | None:
    """The fields of a composer that was sent from a page without scripts, whose text is nowhere else."""
    if request.method != "POST" or reader_of(request) is not Reader.BROWSER:
        return None
    form = await request.form()  # as the route had it
    fields = {name: clean(value) for name, value in form.items() if isinstance(value, str)}
    if not fields.get("prompt", "").strip():
        return None
    return {name: fields.get(name, "") for name in ("prompt", "conversation", "after", "form_token")}


class ErrorPages:
    """Answers what no route did: Problems raised by middleware, and faults of ours, which it logs."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_and_see(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, send_and_see)
        except Exception as error:
            if started:
                raise
            if not isinstance(error, Problem):
                _log.exception("%s %s failed", scope["method"], scope["path"])
                error = Problem(500, SENTENCES[500])
            await _in_any_case(Request(scope, receive), error)(scope, receive, send)


def _is_json(request: Request) -> bool:
    """Whether the body is called so, as FastAPI has it."""
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _in_any_case(request: Request, problem: Problem) -> Response:
    """A problem, also where the templates of its page are what is broken."""
    try:
        return answer(request, problem)
    except Exception:
        _log.exception("the page of an error failed")
        return PlainTextResponse(SENTENCES[500], status_code=500)
