"""A provider that is an async generator of one's own."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from inspect import iscoroutinefunction, isgeneratorfunction

from app.providers import failures
from app.providers.failures import Asked
from app.providers.patience import patience
from app.providers.provider import ChatMessage, Delta, State

Generate = Callable[[list[ChatMessage]], AsyncIterator[str | Delta]]
"""What anyone can bring: an async generator function of the messages so far, which yields text or deltas."""


class OwnProvider:
    """Answers by a given async generator function, named after it."""

    small = False
    prefills = False
    context_tokens: int | None = None

    def __init__(
        self, generate: Generate, *, first_token_seconds: float = 60, idle_seconds: float = 60
    ) -> None:
        """Raises TypeError for a function that cannot be one."""
        if isgeneratorfunction(generate) or iscoroutinefunction(generate):
            raise TypeError(
                f"{generate.__name__} is no async generator function: it takes both `async def` and `yield`"
            )
        self._generate = generate
        self._first_token_seconds = first_token_seconds
        self._idle_seconds = idle_seconds
        self.model = getattr(generate, "__name__", type(generate).__name__).replace("_", " ").strip()

    @property
    def state(self) -> State:
        """Always ready."""
        return State()

    async def start(self) -> None:
        """Nothing to get ready."""

    async def stream(self, messages: Sequence[ChatMessage]) -> AsyncGenerator[Delta, None]:
        """Every piece as a delta, whichever way the generator gives them. Raises ProviderError."""
        now = asyncio.get_running_loop().time
        deadline, begun = now() + self._first_token_seconds, False
        pieces = self._generate(list(messages))
        try:
            while (piece := await self._next(pieces, deadline, begun=begun)) is not None:
                delta = Delta(text=piece) if isinstance(piece, str) else piece
                yield delta
                if delta.text or delta.reasoning:
                    # Set once it is taken, for our reader's pauses are not the generator's.
                    deadline, begun = now() + self._idle_seconds, True
        finally:
            if close := getattr(pieces, "aclose", None):
                await close()

    async def _next(
        self, pieces: AsyncIterator[str | Delta], deadline: float, *, begun: bool
    ) -> str | Delta | None:
        """What it yields next, None at its end. Raises ProviderError where that does not come in time."""
        try:
            async with patience(deadline) as limit:
                return await anext(pieces, None)
        except TimeoutError:
            if not limit.expired():
                raise
            asked = Asked(self.model or "the model", self.model, with_key=False)
            if begun:
                raise failures.fell_silent(self._idle_seconds, asked) from None
            raise failures.no_token_yet(self._first_token_seconds, asked) from None

    async def close(self) -> None:
        """Nothing to let go of."""
