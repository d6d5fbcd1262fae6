"""What a provider is: somewhere a model runs, and what it says while it answers."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypedDict


class ChatMessage(TypedDict):
    """One message as a model is sent it, in the form of OpenAI's chat completions."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that a provider counted for one answer."""

    prompt_tokens: int
    completion_tokens: int


class Delta(NamedTuple):
    """What arrived next: some text, some reasoning, or how the answer ended.

    `finish` is the provider's own word where it gave one: `stop`, `length` (cut at a limit),
    `content_filter`, `tool_calls`.
    """

    text: str = ""
    reasoning: str = ""
    usage: Usage | None = None
    finish: str | None = None
    pieces: int = 1
    """How many the provider sent it in."""

    @property
    def is_text(self) -> bool:
        """Whether it is nothing but text."""
        return not (self.reasoning or self.usage or self.finish)

    def __str__(self) -> str:
        """The text alone, so that a delta can be printed as it comes."""
        return self.text


Failure = Literal[
    "unreachable",
    "refused",
    "refused_key",
    "unknown_model",
    "rate_limited",
    "no_credit",
    "overloaded",
    "too_long",
    "timeout",
    "interrupted",
    "unreadable",
    "unavailable",
]


class ProviderError(Exception):
    """An answer failed; `str(error)` is a sentence for the person who asked.

    It says what happened and what they can do, and never holds a key, an address with
    credentials, or text that a server sent.
    """

    def __init__(self, sentence: str, failure: Failure, *, retry_seconds: float | None = None) -> None:
        """`retry_seconds`: when to ask again by oneself; None where that could not help, or is not safe."""
        super().__init__(sentence)
        self.failure = failure
        self.retry_seconds = retry_seconds


@dataclass(frozen=True, slots=True)
class State:
    """Whether a provider can answer now; `sentence` says so to a person where it cannot."""

    name: Literal["ready", "starting", "unavailable"] = "ready"
    sentence: str = ""


class Provider(Protocol):
    """Somewhere a model runs."""

    model: str
    """The model's name, as a person knows it."""

    small: bool
    """Whether the page should warn that this is the small built-in model."""

    prefills: bool
    """Whether it goes on with an answer that comes last in what it is sent, as it stands."""

    context_tokens: int | None
    """Tokens that a prompt and its answer may have together; None where that is not known."""

    @property
    def state(self) -> State:
        """Whether it can answer now."""

    async def start(self) -> None:
        """Begin to get ready; returns at once."""

    def stream(self, messages: Sequence[ChatMessage]) -> AsyncGenerator[Delta, None]:
        """Answer, piece by piece. Closing the generator stops the model. Raises ProviderError."""

    async def close(self) -> None:
        """Let go of connections and processes."""
