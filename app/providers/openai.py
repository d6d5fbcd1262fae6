"""Any server that speaks OpenAI's chat completions: OpenAI, Ollama, vLLM, llama.cpp and others."""

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence

import truststore
from aiohttp import (
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
    encode_basic_auth,
)
from yarl import URL

from app.providers import failures
from app.providers.answer import AnswerReader
from app.providers.failures import Asked
from app.providers.pace import Pace
from app.providers.patience import PatientReader, patience
from app.providers.provider import ChatMessage, Delta, ProviderError, State
from app.settings import is_loopback
from app.text import clean

logger = logging.getLogger(__name__)

OPENAI = "https://api.openai.com/v1"
CONNECT_SECONDS = 5
AFTER_FINISH_SECONDS = 5
ERROR_BYTES = 65_536
MODELS_BYTES = 4_000_000
LONGEST_NAME = 100


class OpenAIProvider:
    """One server and one of its models. Without a `model`, the first that the server lists."""

    small = False
    prefills = False
    context_tokens: int | None = None

    def __init__(
        self,
        base_url: str = OPENAI,
        *,
        key: str | None = None,
        model: str | None = None,
        first_token_seconds: float = 60,
        idle_seconds: float = 60,
        options: Mapping[str, object] | None = None,
        called: str | None = None,
        pace: Pace | None = None,
    ) -> None:
        """Name the server and what it is asked with; `options` join the body of each request.

        With a `pace` what follows the first words of an answer is read when that says so, else as it comes.
        """
        self.model = model or "unknown"
        self._model = model
        self._first_token_seconds = first_token_seconds
        self._idle_seconds = idle_seconds
        self._options = options or {}
        self._naming = asyncio.Lock()
        self._called = called or "the server"
        self._pace = pace
        self._with_key = bool(key)
        self._key = (key or "").strip()
        self._session: ClientSession | None = None
        self._trouble = ""
        try:
            self._url = URL(base_url.strip().rstrip("/").removesuffix("/chat/completions"))
            host = self._url.host_port_subcomponent
        except ValueError:
            host = None
        if not host or self._url.scheme not in ("http", "https"):
            self._trouble = "OPENAI_BASE_URL is no address: it looks like http://127.0.0.1:11434/v1."
            return
        self._called = called or f"the server at {host}"
        self.model = model or host
        if not (self._key.isascii() and self._key.isprintable()):
            self._trouble = "OPENAI_API_KEY has characters in it that no key has. Copy it again."
        elif model is None and self._url.host == "api.openai.com":
            self._trouble = "OpenAI has many models: set MODEL to the name of the one to use."

    @property
    def state(self) -> State:
        """Ready, unless the settings alone show that it can never answer: nothing is probed."""
        return State("unavailable", self._trouble) if self._trouble else State()

    async def start(self) -> None:
        """Nothing to do: the first request connects."""

    async def close(self) -> None:
        """Close every connection."""
        if self._session:
            await self._session.close()
            self._session = None

    async def stream(self, messages: Sequence[ChatMessage]) -> AsyncGenerator[Delta, None]:
        """Answer, piece by piece. Closing the generator closes the connection. Raises ProviderError."""
        now = asyncio.get_running_loop().time
        deadline = now() + self._first_token_seconds
        response = await self._ask(messages, deadline)
        body = PatientReader(response, deadline)
        answer = AnswerReader(self._asked)
        try:
            while not answer.done and (chunk := await self._next(body, answer)):
                was_finished, said = answer.finished, False
                for delta in answer.feed(chunk):
                    said = said or bool(delta.text or delta.reasoning)
                    yield delta
                # Set once the pieces are taken, for our reader's pauses are not the server's; and only by
                # what is said: a server may keep its connection for ever with comments and empty pieces.
                if answer.finished and not was_finished:
                    body.wait_until(now() + AFTER_FINISH_SECONDS)
                elif said and not answer.finished:
                    body.wait_until(now() + self._idle_seconds)
                    if self._pace:
                        body.rest(self._pace)
            for delta in answer.end():
                yield delta
        finally:
            body.close()
            response.close()

    @property
    def _asked(self) -> Asked:
        return Asked(self._called, self.model, self._with_key)

    async def _ask(self, messages: Sequence[ChatMessage], deadline: float) -> ClientResponse:
        """The open response whose body is the answer."""
        try:
            async with patience(deadline):
                body = {
                    "model": await self._model_name(),
                    "messages": list(messages),
                    "stream": True,
                    "stream_options": {"include_usage": True},
                    **self._options,
                }
                return await self._request("POST", "chat/completions", "text/event-stream", body)
        except TimeoutError:
            raise failures.no_token_yet(self._first_token_seconds, self._asked) from None

    async def _model_name(self) -> str:
        """The model to ask for; where none was named the server is asked, once, which it has."""
        async with self._naming:
            if self._model is None:
                response = await self._request("GET", "models", "application/json")
                try:
                    listed = failures.parsed(await _beginning(response, MODELS_BYTES))
                except ClientError as error:
                    raise failures.of_transport(error, self._asked) from error
                finally:
                    response.close()
                name = _first_model(listed)
                if name is None:
                    raise self._asked.error("unknown_model", "does not say which models it has. Set MODEL.")
                self._model = self.model = name
            return self._model

    async def _request(self, method: str, path: str, wanted: str, body: object = None) -> ClientResponse:
        """An open response of the wanted content type. Raises ProviderError for any other."""
        if self._trouble:
            raise ProviderError(self._trouble, "unavailable")
        # Made here, since it belongs to the event loop that is running.
        session = self._session = self._session or _session(self._url, self._key)
        # Half a surrogate pair, which JSON from elsewhere may hold, becomes a question mark.
        content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace") if body else None
        url = self._url.with_user(None).with_password(None) / path
        try:
            response = await session.request(method, url, data=content, allow_redirects=False)
        except ClientError as error:
            raise failures.of_transport(error, self._asked) from error
        try:
            if response.status != 200:
                logger.warning("%s answered %s with %d", self._called, path, response.status)
                raise failures.of_status(
                    response.status,
                    await _beginning(response, ERROR_BYTES),
                    self._asked,
                    response.headers.get("Retry-After"),
                )
            packed = response.headers.get("Content-Encoding", "identity") != "identity"
            if (
                packed
                or response.headers.get("Content-Type", wanted).partition(";")[0].strip().lower() != wanted
            ):
                raise failures.unreadable(self._asked)
        except BaseException:
            response.close()
            raise
        return response

    async def _next(self, body: PatientReader, answer: AnswerReader) -> bytes:
        """All that the network has brought since; empty at the end, or once nothing that matters can come."""
        try:
            return await body.read()
        except TimeoutError:
            if answer.finished:
                return b""
            if answer.begun:
                raise failures.fell_silent(self._idle_seconds, self._asked) from None
            raise failures.no_token_yet(self._first_token_seconds, self._asked) from None
        except ClientError as error:
            if answer.finished:
                return b""
            raise failures.broken_off(self._asked) from error


def _session(url: URL, key: str) -> ClientSession:
    """A client for one server, which sends it nothing but what it needs."""
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
    at_home = is_loopback(url.host or "")
    # Credentials leave the address, so that no log line holds them, and a key goes before them.
    if key:
        headers["Authorization"] = f"Bearer {key}"
    elif url.user or url.password:
        headers["Authorization"] = encode_basic_auth(url.user or "", url.password or "", encoding="utf-8")
    return ClientSession(
        headers=headers,
        timeout=ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        connector=TCPConnector(
            # A chat pauses for longer than servers keep connections, and llama.cpp's server closes one that
            # it said it would keep; a new one each time never meets a closed one.
            force_close=True,
            limit=0,
            # What the system trusts. To load it takes 70 ms, and plain HTTP needs none of it.
            ssl=truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if url.scheme == "https" else True,
        ),
        auto_decompress=False,
        cookie_jar=DummyCookieJar(),
        # What operators set for proxies counts, except for this machine's own servers.
        trust_env=not at_home,
    )


async def _beginning(response: ClientResponse, limit: int) -> bytes:
    """A body as far as it is worth reading."""
    body = b""
    while len(body) <= limit and (chunk := await response.content.readany()):
        body += chunk
    return body


def _first_model(listed: object) -> str | None:
    models = listed.get("data") if isinstance(listed, dict) else None
    first = models[0] if isinstance(models, list) and models else None
    name = first.get("id") if isinstance(first, dict) else None
    return clean(name).strip()[:LONGEST_NAME] or None if isinstance(name, str) else None
