"""Security middleware: headers on every response, whom the server answers to, and how much it reads.

Pure ASGI. What is refused here is raised as a Problem, for the error pages to show.
"""

import ipaddress
import secrets
from collections.abc import Collection
from urllib.parse import urlsplit

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.problems import Problem

SAFE_METHODS = {"GET", "HEAD", "OPTIONS", "TRACE"}


def content_security_policy(nonce: str) -> str:
    """Nothing by default; our own style, and the scripts that carry this response's nonce."""
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types htmx"
    )


HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: that would make our own forms post `Origin: null`.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class SecurityHeaders:
    """Gives each request a nonce, as `request.state.nonce`, and each response the header set."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        nonce = scope.setdefault("state", {})["nonce"] = secrets.token_urlsafe(18)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = content_security_policy(nonce)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers)


BY_ADDRESS = ("/healthz", "/readyz", "/metrics")


class HostAllowlist:
    """Answers only to known names, so that no other site's name can be pointed at this server.

    With `any_address`, numeric addresses are answered to as well: a rebound name is never one.
    """

    def __init__(self, app: ASGIApp, names: Collection[str], *, any_address: bool) -> None:
        self._app = app
        self._names = {name.strip("[]").lower() for name in names}
        self._any_address = any_address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Whoever asks how a process fares asks this very process, by its address.
        asked = scope["type"] == "http" and scope["path"] not in BY_ADDRESS
        if asked and not self._knows(host := Headers(scope=scope).get("host", "")):
            name = hostname(host) or "none"
            raise Problem(
                400, f"This server does not answer to the name “{name[:80]}”. ALLOWED_HOSTS can add it."
            )
        await self._app(scope, receive, send)

    def _knows(self, host: str) -> bool:
        name = hostname(host)
        return name in self._names or "*" in self._names or (self._any_address and is_address(name))


class CrossSite:
    """Refuses what another site makes a browser send: by Sec-Fetch-Site, else by Origin against Host.

    Programs send neither header and are let through: they carry nobody's session.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in SAFE_METHODS:
            headers = Headers(scope=scope)
            site, origin = headers.get("sec-fetch-site"), headers.get("origin")
            if site is not None:
                ours = site in ("same-origin", "none")
            else:
                ours = origin is None or origin.partition("://")[2] == headers.get("host")
            if not ours:
                raise Problem(403, "This request came from another site, so it was not carried out.")
        await self._app(scope, receive, send)


class BodyLimit:
    """Refuses a request body over `limit` bytes: by its announced length, else as soon as it is exceeded."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isascii() or not announced.isdigit():
            raise Problem(400, "The length of this request makes no sense.")
        sentence = f"This is more than the {self._limit:,} bytes that can be sent at once."
        if int(announced[:20]) > self._limit:
            raise Problem(413, sentence)
        received, started = 0, False

        async def receive_within_limit() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            # A response that has begun listens only for its reader to go, and passes over the rest.
            if received > self._limit and not started:
                # Raised where a route reads its body, which takes any other error for a malformed one.
                raise HTTPException(413, sentence)
            return message

        async def send_and_see(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        await self._app(scope, receive_within_limit, send_and_see)


class FormCharset:
    """Refuses forms in any character set but UTF-8, which is all that browsers send.

    Forms of several parts may name theirs, and Python knows some that take minutes for a megabyte (punycode,
    idna), in which nobody else would be answered.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            # By the same parser as the form's, so that both see the same.
            kind, options = parse_options_header(Headers(scope=scope).get("content-type"))
            charset = options.get(b"charset", b"utf-8").lower()
            if kind.startswith(b"multipart/") and charset not in (b"utf-8", b"utf8"):
                raise Problem(415, "Forms are read as UTF-8 only.")
        await self._app(scope, receive, send)


def hostname(host: str) -> str:
    """The name in a Host header, without port and brackets; empty if it has none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def is_address(name: str) -> bool:
    """Whether a host is given as an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
