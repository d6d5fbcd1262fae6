"""A provider that is an async generator of one's own."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

from app.providers.provider import ChatMessage, Delta, State

Generate = Callable[[list[ChatMessage]], AsyncIterator[str | Delta]]
"""What anyone can bring: an async generator function of the messages so far, which yields text or deltas."""


class OwnProvider:
    """Answers by a given async generator function, named after it."""

    small = False
    prefills = False
    context_tokens: int | None = None

    def __init__(self, generate: Generate) -> None:
        self._generate = generate
        self.model = getattr(generate, "__name__", type(generate).__name__).replace("_", " ").strip()

    @property
    def state(self) -> State:
        """Always ready."""
        return State()

    async def start(self) -> None:
        """Nothing to get ready."""

    async def stream(self, messages: Sequence[ChatMessage]) -> AsyncGenerator[Delta, None]:
        """Every piece as a delta, whichever way the generator gives them."""
        pieces = self._generate(list(messages))
        try:
            async for piece in pieces:
                yield Delta(text=piece) if isinstance(piece, str) else piece
        finally:
            if close := getattr(pieces, "aclose", None):
                await close()

    async def close(self) -> None:
        """Nothing to let go of."""
