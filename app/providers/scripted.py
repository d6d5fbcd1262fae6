"""A provider that says what it is told to, for demonstrations and tests."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass

from app.providers.provider import ChatMessage, Delta, ProviderError, State, Usage


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause within an answer, in seconds; without them, until `go_on` is called."""

    seconds: float | None = None


PAUSE = Pause()

Piece = str | Delta | Pause | ProviderError


class ScriptedProvider:
    """Says exact text, with pauses and failures where the script has them.

    An answer is the next one queued by `will_say`, else the `script`, else an echo of the prompt.
    """

    small = False
    prefills = False

    def __init__(
        self, script: Iterable[Piece] = (), *, model: str = "scripted", context_tokens: int | None = None
    ) -> None:
        self.model = model
        self.context_tokens = context_tokens
        self.state = State()
        self.asked: list[list[ChatMessage]] = []
        self._script = tuple(script)
        self._answers: deque[tuple[Piece, ...]] = deque()
        self._gate = asyncio.Semaphore(0)

    def will_say(self, *pieces: Piece) -> None:
        """Queue the next answer. It ends with `stop` and a usage unless it ends otherwise."""
        self._answers.append(pieces)

    def go_on(self) -> None:
        """Release one `PAUSE`, reached or yet to be reached."""
        self._gate.release()

    async def start(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""

    async def stream(self, messages: Sequence[ChatMessage]) -> AsyncGenerator[Delta, None]:
        """Answer, piece by piece. Raises what the script says."""
        self.asked.append(list(messages))
        finish = None
        count = 0
        for piece in self._answers.popleft() if self._answers else self._script or _echo(messages):
            # Even a script without pauses lets others work between its pieces, as a network would.
            await asyncio.sleep(0)
            match piece:
                case Pause(None):
                    await self._gate.acquire()
                case Pause(seconds) if seconds is not None:
                    await asyncio.sleep(seconds)
                case ProviderError():
                    raise piece
                case str():
                    count += 1
                    yield Delta(text=piece)
                case Delta():
                    count += 1
                    finish = piece.finish or finish
                    yield piece
        if finish is None:
            yield Delta(finish="stop")
            yield Delta(usage=Usage(sum(len(message["content"].split()) for message in messages), count))


def _echo(messages: Sequence[ChatMessage]) -> list[Piece]:
    prompt = next((message["content"] for message in reversed(messages) if message["role"] == "user"), "")
    return ["You said: ", *(f"{word} " for word in prompt.split(" ")[:-1]), *prompt.split(" ")[-1:]]
