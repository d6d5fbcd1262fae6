"""Any server that speaks OpenAI's chat completions: OpenAI, Ollama, vLLM, llama.cpp and others."""

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence

import httpx2

from app.providers import failures
from app.providers.answer import AnswerReader
from app.providers.failures import Asked
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
    ) -> None:
        """Name the server and what it is asked with; `options` join the body of each request."""
        self.model = model or "unknown"
        self._model = model
        self._first_token_seconds = first_token_seconds
        self._idle_seconds = idle_seconds
        self._options = options or {}
        self._naming = asyncio.Lock()
        self._called = called or "the server"
        self._with_key = bool(key)
        self._client: httpx2.AsyncClient | None = None
        self._trouble = ""
        try:
            url = httpx2.URL(base_url.strip().rstrip("/").removesuffix("/chat/completions"))
        except httpx2.InvalidURL:
            url = httpx2.URL("")
        host = url.netloc.decode("ascii")
        key = (key or "").strip()
        if url.scheme not in ("http", "https") or not host:
            self._trouble = "OPENAI_BASE_URL is no address: it looks like http://127.0.0.1:11434/v1."
            return
        self._called = called or f"the server at {host}"
        self.model = model or host
        if not (key.isascii() and key.isprintable()):
            self._trouble = "OPENAI_API_KEY has characters in it that no key has. Copy it again."
        elif model is None and url.host == "api.openai.com":
            self._trouble = "OpenAI has many models: set MODEL to the name of the one to use."
        else:
            self._client = _client(url, key)

    @property
    def state(self) -> State:
        """Ready, unless the settings alone show that it can never answer: nothing is probed."""
        return State("unavailable", self._trouble) if self._trouble else State()

    async def start(self) -> None:
        """Nothing to do: the first request connects."""

    async def close(self) -> None:
        """Close every connection."""
        if self._client:
            await self._client.aclose()

    async def stream(self, messages: Sequence[ChatMessage]) -> AsyncGenerator[Delta, None]:
        """Answer, piece by piece. Closing the generator closes the connection. Raises ProviderError."""
        now = asyncio.get_running_loop().time
        deadline = now() + self._first_token_seconds
        response = await self._ask(messages, deadline)
        answer = AnswerReader(self._asked)
        chunks = response.aiter_raw()
        try:
            while not answer.done and (chunk := await self._next(chunks, deadline, answer)) is not None:
                was_finished, said = answer.finished, False
                for delta in answer.feed(chunk):
                    said = said or bool(delta.text or delta.reasoning)
                    yield delta
                # Set once the pieces are taken, for our reader's pauses are not the server's; and only by
                # what is said: a server may keep its connection for ever with comments and empty pieces.
                if answer.finished and not was_finished:
                    deadline = now() + AFTER_FINISH_SECONDS
                elif said and not answer.finished:
                    deadline = now() + self._idle_seconds
            for delta in answer.end():
                yield delta
        finally:
            await response.aclose()

    @property
    def _asked(self) -> Asked:
        return Asked(self._called, self.model, self._with_key)

    async def _ask(self, messages: Sequence[ChatMessage], deadline: float) -> httpx2.Response:
        """The open response whose body is the answer."""
        try:
            async with asyncio.timeout_at(deadline):
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
                except httpx2.RequestError as error:
                    raise failures.of_transport(error, self._asked) from error
                finally:
                    await response.aclose()
                name = _first_model(listed)
                if name is None:
                    raise self._asked.error("unknown_model", "does not say which models it has. Set MODEL.")
                self._model = self.model = name
            return self._model

    async def _request(self, method: str, path: str, wanted: str, body: object = None) -> httpx2.Response:
        """An open response of the wanted content type. Raises ProviderError for any other."""
        if self._client is None:
            raise ProviderError(self._trouble, "unavailable")
        try:
            # Half a surrogate pair, which JSON from elsewhere may hold, becomes a question mark.
            content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace") if body else None
            request = self._client.build_request(method, path, content=content)
            response = await self._client.send(request, stream=True)
        except httpx2.RequestError as error:
            raise failures.of_transport(error, self._asked) from error
        try:
            if response.status_code != 200:
                logger.warning("%s answered %s with %d", self._called, path, response.status_code)
                raise failures.of_status(
                    response.status_code,
                    await _beginning(response, ERROR_BYTES),
                    self._asked,
                    response.headers.get("retry-after"),
                )
            kind = response.headers.get("content-type", wanted).partition(";")[0].strip().lower()
            if kind != wanted or response.headers.get("content-encoding", "identity") != "identity":
                raise failures.unreadable(self._asked)
        except BaseException:
            await response.aclose()
            raise
        return response

    async def _next(
        self, chunks: AsyncIterator[bytes], deadline: float, answer: AnswerReader
    ) -> bytes | None:
        """What the network brings next; None at the end, or once nothing that matters can come."""
        try:
            async with asyncio.timeout_at(deadline):
                return await anext(chunks, None)
        except TimeoutError:
            if answer.finished:
                return None
            if answer.begun:
                raise failures.fell_silent(self._idle_seconds, self._asked) from None
            raise failures.no_token_yet(self._first_token_seconds, self._asked) from None
        except httpx2.RequestError as error:
            if answer.finished:
                return None
            raise failures.broken_off(self._asked) from error


def _client(url: httpx2.URL, key: str) -> httpx2.AsyncClient:
    """A client for one server, which sends it nothing but what it needs."""
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", "Connection": "close"}
    at_home = is_loopback(url.host)
    if key:
        headers["Authorization"] = f"Bearer {key}"
    return httpx2.AsyncClient(
        # Credentials leave the address, so that no log line holds them, and a key goes before them.
        base_url=url.copy_with(username=None, password=None),
        auth=httpx2.BasicAuth(url.username, url.password) if url.userinfo and not key else None,
        headers=headers,
        timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
        # A chat pauses for longer than servers keep connections, and llama.cpp's server closes one that it
        # said it would keep; a new one each time never meets a closed one. The default limit would be 100.
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=0),
        follow_redirects=False,
        # What operators set for proxies and certificates counts, except for this machine's own servers.
        trust_env=not at_home,
        # To load the certificates that are trusted takes 70 ms; plain HTTP to this machine needs none.
        verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if at_home and url.scheme == "http" else True,
    )


async def _beginning(response: httpx2.Response, limit: int) -> bytes:
    """A body as far as it is worth reading."""
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > limit:
            break
    return body


def _first_model(listed: object) -> str | None:
    models = listed.get("data") if isinstance(listed, dict) else None
    first = models[0] if isinstance(models, list) and models else None
    name = first.get("id") if isinstance(first, dict) else None
    return clean(name).strip()[:LONGEST_NAME] or None if isinstance(name, str) else None
