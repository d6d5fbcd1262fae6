"""A provider that is an async generator of one's own."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from inspect import iscoroutinefunction, isgeneratorfunction, signature

from app.providers import failures
from app.providers.failures import Asked
from app.providers.patience import patience
from app.providers.provider import ChatMessage, Delta, State

Generate = Callable[[list[ChatMessage]], AsyncIterator[str | Delta | None]]
"""What anyone can bring: an async generator function of the messages so far, which yields text or deltas.

None is nothing: servers send such pieces, too.
"""

_END = object()


class OwnProvider:
    """Answers by a given async generator function, named after it."""

    small = False
    prefills = False
    context_tokens: int | None = None

    def __init__(
        self, generate: Generate, *, first_token_seconds: float = 60, idle_seconds: float = 60
    ) -> None:
        """Raises TypeError for what cannot be one."""
        self._name = getattr(generate, "__name__", type(generate).__name__)
        _insist_on_function(generate, self._name)
        self._generate = generate
        self._first_token_seconds = first_token_seconds
        self._idle_seconds = idle_seconds
        self.model = self._name.replace("_", " ").strip()

    @property
    def state(self) -> State:
        """Always ready."""
        return State()

    async def start(self) -> None:
        """Nothing to get ready."""

    async def stream(self, messages: Sequence[ChatMessage]) -> AsyncGenerator[Delta, None]:
        """Every piece as a delta, whichever way the generator gives them.

        Raises ProviderError, and TypeError for a piece that is none.
        """
        now = asyncio.get_running_loop().time
        deadline, begun = now() + self._first_token_seconds, False
        pieces = self._generate(list(messages))
        try:
            while (piece := await self._next(pieces, deadline, begun=begun)) is not _END:
                delta = Delta(text=piece) if isinstance(piece, str) else piece
                if not isinstance(delta, Delta):
                    # The type alone: what it says is nothing for a log.
                    kind = type(piece).__name__
                    raise TypeError(f"{self._name} yielded {kind}: it may yield str, Delta or None")
                yield delta
                if delta.text or delta.reasoning:
                    # Set once it is taken, for our reader's pauses are not the generator's.
                    deadline, begun = now() + self._idle_seconds, True
        finally:
            if close := getattr(pieces, "aclose", None):
                await close()

    async def _next(self, pieces: AsyncIterator[object], deadline: float, *, begun: bool) -> object:
        """What it says next, `_END` behind that. Raises ProviderError where it does not come in time."""
        try:
            async with patience(deadline) as limit:
                while True:
                    piece = await anext(pieces, _END)
                    if piece is not None and piece != "":
                        return piece
                    await asyncio.sleep(0)  # it may say nothing without end, and wait for nothing
        except TimeoutError:
            if not limit.expired():
                raise
            asked = Asked(self.model or "the model", self.model, with_key=False)
            if begun:
                raise failures.fell_silent(self._idle_seconds, asked) from None
            raise failures.no_token_yet(self._first_token_seconds, asked) from None

    async def close(self) -> None:
        """Nothing to let go of."""


def _insist_on_function(generate: Generate, name: str) -> None:
    if not callable(generate):
        raise TypeError(f"this is no function, but {name}: give `my_model`, and not `my_model()`")
    if isgeneratorfunction(generate) or iscoroutinefunction(generate):
        raise TypeError(f"{name} is no async generator function: it takes both `async def` and `yield`")
    try:
        parameters = signature(generate)
    except ValueError:
        return  # Some that are written in C do not say what they take.
    try:
        parameters.bind([])
    except TypeError as error:
        raise TypeError(f"{name} is called with the messages, and nothing else: {error}") from None
