"""Access: an id for each request, in its response and in every line of the log, and a line at its end."""

import logging
import re
import secrets
from time import perf_counter
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import logs, tracing
from app.security import BY_ADDRESS

HEADER = "X-Request-Id"

SANE = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
"""What of a proxy's id is taken over: what can be in a log without meaning anything there."""

LONGEST_PATH = 200

_log = logging.getLogger(__name__)


class Access:
    """Pure ASGI, outermost, so that no response and no line is without it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        proxys = Headers(scope=scope).get(HEADER, "")
        request_id = proxys if SANE.fullmatch(proxys) else secrets.token_hex(8)
        # Never taken back: what the server itself logs of this request comes after its end.
        logs.request_id.set(request_id)
        if scope["query_string"]:
            tracing.hide_query()
        began = perf_counter()
        status: int | None = None

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            level = logging.DEBUG if scope["path"] in BY_ADDRESS else logging.INFO
            if _log.isEnabledFor(level):
                _write(level, scope, status, perf_counter() - began)


def _write(level: int, scope: Scope, status: int | None, seconds: float) -> None:
    """What was asked, without what stands behind the question mark."""
    fields = {
        "method": scope["method"],
        "path": quote(scope["path"], safe="/:@!$&'()*+,;=")[:LONGEST_PATH],
        "status": status,
        "seconds": round(seconds, 4),
    }
    words = (fields["method"], fields["path"], status or "no response", seconds)
    _log.log(level, "%s %s: %s in %.3f s", *words, extra=fields)
