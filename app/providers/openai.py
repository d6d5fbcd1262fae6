"""Any server that speaks OpenAI's chat completions: OpenAI, Ollama, vLLM, llama.cpp and others."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TYPE_CHECKING

from yarl import URL

from app.providers import failures
from app.providers.answer import AnswerReader
from app.providers.failures import Asked
from app.providers.pace import Pace
from app.providers.patience import PatientReader, patience
from app.providers.provider import ChatMessage, Delta, ProviderError, State
from app.text import clean

if TYPE_CHECKING:
    from aiohttp import ClientResponse

    from app.providers.client import Client

OPENAI = "https://api.openai.com/v1"
AFTER_FINISH_SECONDS = 5
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
        self._client: Client | None = None
        self._closings = 0
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
        self._closings += 1
        if self._client:
            await self._client.close()
            self._client = None

    async def stream(self, messages: Sequence[ChatMessage]) -> AsyncGenerator[Delta, None]:
        """Answer, piece by piece. Closing the generator closes the connection. Raises ProviderError."""
        if self._trouble:
            raise ProviderError(self._trouble, "unavailable")
        now = asyncio.get_running_loop().time
        deadline = now() + self._first_token_seconds
        client, response = await self._ask(messages, deadline)
        body = PatientReader(response, deadline)
        answer = AnswerReader(self._asked)
        try:
            while not answer.done and (chunk := await self._next(client, body, answer)):
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

    async def _loaded(self) -> "Client":
        """What asks the server. To load it takes 8 MB and 0.1 s, in which others are served."""
        if self._client is None:
            closings = self._closings
            make = await asyncio.to_thread(_load_client)
            if closings != self._closings:
                raise failures.broken_off(self._asked)
            # Another answer may have been as fast. It belongs to the event loop that is running.
            self._client = self._client or make(self._url, self._key)
        return self._client

    async def _ask(self, messages: Sequence[ChatMessage], deadline: float) -> "tuple[Client, ClientResponse]":
        """What asked, and the open response whose body is the answer."""
        try:
            async with patience(deadline):
                client = await self._loaded()
                body = {
                    "model": await self._model_name(client),
                    "messages": list(messages),
                    "stream": True,
                    "stream_options": {"include_usage": True},
                    **self._options,
                }
                response = await client.request(
                    "POST", "chat/completions", "text/event-stream", self._asked, body
                )
                return client, response
        except TimeoutError:
            raise failures.no_token_yet(self._first_token_seconds, self._asked) from None

    async def _model_name(self, client: "Client") -> str:
        """The model to ask for; where none was named the server is asked, once, which it has."""
        async with self._naming:
            if self._model is None:
                listed = await client.document("models", self._asked, MODELS_BYTES)
                name = _first_model(failures.parsed(listed))
                if name is None:
                    raise self._asked.error("unknown_model", "does not say which models it has. Set MODEL.")
                self._model = self.model = name
            return self._model

    async def _next(self, client: "Client", body: PatientReader, answer: AnswerReader) -> bytes:
        """All that the network has brought since; empty at the end, or once nothing that matters can come."""
        try:
            return await body.read()
        except TimeoutError:
            if answer.finished:
                return b""
            if answer.begun:
                raise failures.fell_silent(self._idle_seconds, self._asked) from None
            raise failures.no_token_yet(self._first_token_seconds, self._asked) from None
        except client.Error as error:
            if answer.finished:
                return b""
            raise failures.broken_off(self._asked) from error


def _load_client() -> "type[Client]":
    from app.providers.client import Client

    return Client


def _first_model(listed: object) -> str | None:
    models = listed.get("data") if isinstance(listed, dict) else None
    first = models[0] if isinstance(models, list) and models else None
    name = first.get("id") if isinstance(first, dict) else None
    return clean(name).strip()[:LONGEST_NAME] or None if isinstance(name, str) else None
