"""One model's server, asked over HTTP, and what a failure to reach it means.

Loaded by who asks a model, and by nobody else: with it comes an HTTP client.
"""

import json
import logging
import socket
import ssl
from collections.abc import Iterator

import aiohttp
import truststore
from aiohttp import ClientError, ClientResponse, ClientSession
from yarl import URL

from app.providers import failures
from app.providers.failures import Asked
from app.providers.provider import ProviderError
from app.settings import is_loopback

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 5
ERROR_BYTES = 65_536


class Client:
    """Asks a server, which is sent nothing but what it needs."""

    Error = ClientError
    """What reading a response may raise."""

    def __init__(self, url: URL, key: str) -> None:
        """Is made where an event loop runs, and belongs to that."""
        # Credentials leave the address, so that no log line holds them.
        self._url = url.with_user(None).with_password(None)
        self._session = _session(url, key)

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    async def request(
        self, method: str, path: str, wanted: str, asked: Asked, body: object = None
    ) -> ClientResponse:
        """An open response of the wanted content type. Raises ProviderError for any other."""
        # Half a surrogate pair, which JSON from elsewhere may hold, becomes a question mark.
        content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace") if body else None
        try:
            response = await self._session.request(
                method, self._url / path, data=content, allow_redirects=False
            )
        except ClientError as error:
            raise _failure(error, asked) from error
        try:
            if response.status != 200:
                logger.warning("%s answered %s with %d", asked.called, path, response.status)
                raise failures.of_status(
                    response.status,
                    await _beginning(response, ERROR_BYTES),
                    asked,
                    response.headers.get("Retry-After"),
                )
            packed = response.headers.get("Content-Encoding", "identity") != "identity"
            if (
                packed
                or response.headers.get("Content-Type", wanted).partition(";")[0].strip().lower() != wanted
            ):
                raise failures.unreadable(asked)
        except BaseException:
            response.close()
            raise
        return response

    async def document(self, path: str, asked: Asked, limit: int) -> bytes:
        """A document in JSON, as far as so many bytes. Raises ProviderError."""
        response = await self.request("GET", path, "application/json", asked)
        try:
            return await _beginning(response, limit)
        except ClientError as error:
            raise _failure(error, asked) from error
        finally:
            response.close()


def _session(url: URL, key: str) -> ClientSession:
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
    at_home = is_loopback(url.host or "")
    # A key goes before credentials in the address.
    if key:
        headers["Authorization"] = f"Bearer {key}"
    elif url.user or url.password:
        headers["Authorization"] = aiohttp.encode_basic_auth(
            url.user or "", url.password or "", encoding="utf-8"
        )
    return ClientSession(
        headers=headers,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        connector=aiohttp.TCPConnector(
            # A chat pauses for longer than servers keep connections, and llama.cpp's server closes one that
            # it said it would keep; a new one each time never meets a closed one.
            force_close=True,
            limit=0,
            # What the system trusts. To load it takes 70 ms, and plain HTTP needs none of it.
            ssl=truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if url.scheme == "https" else True,
        ),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        # What operators set for proxies counts, except for this machine's own servers.
        trust_env=not at_home,
    )


async def _beginning(response: ClientResponse, limit: int) -> bytes:
    """A body as far as it is worth reading."""
    body = b""
    while len(body) <= limit and (chunk := await response.content.readany()):
        body += chunk
    return body


def _failure(error: Exception, asked: Asked) -> ProviderError:
    """What a failure to connect, or to stay connected, means."""
    causes = list(_causes(error))
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return asked.error("unreachable", "cannot be found: there is no such name. Check OPENAI_BASE_URL.")
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return asked.error(
            "unreachable",
            "did not make a secure connection: its certificate is not trusted, or it does not speak https.",
        )
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return asked.error(
            "unreachable", "refused the connection: nothing runs there. Start it, then try again."
        )
    match error:
        case aiohttp.ConnectionTimeoutError():
            return asked.error("unreachable", "could not be reached in time. Check the network.")
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return asked.error("unreachable", "could not be reached through the proxy that is set.")
        case aiohttp.ClientConnectorError() | aiohttp.InvalidURL():
            return asked.error("unreachable", "could not be reached. Check the network and OPENAI_BASE_URL.")
        case _:
            return failures.broken_off(asked)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for inner in error.exceptions:
                yield from _causes(inner)
        error = error.__cause__ or error.__context__
