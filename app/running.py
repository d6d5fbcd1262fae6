"""A running answer: what a model has produced of it, and what of that is not stored yet."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from app.answers import Ending, Piece
from app.providers import Delta
from app.reasoning import Thinking
from app.states import Answer
from app.text import Cleaner


class Unstored:
    """One of an answer's two texts: what is produced but not yet stored, and where it goes."""

    def __init__(self, length: int = 0) -> None:
        """Go on behind the `length` characters that there are."""
        self.length = length
        self.stored = length
        self.unstored: list[str] = []
        self._cleaner = Cleaner()

    def add(self, text: str) -> str:
        """Take what came next; what of it counts by now."""
        return self._keep(self._cleaner.feed(text))

    def end(self) -> str:
        """Take what was held back."""
        return self._keep(self._cleaner.end())

    def store_up_to(self, position: int) -> None:
        """Let go of what is stored; more may have come meanwhile."""
        if position > self.stored:
            rest = "".join(self.unstored)[position - self.stored :]
            self.unstored = [rest] if rest else []
            self.stored = position

    def _keep(self, text: str) -> str:
        if text:
            self.unstored.append(text)
            self.length += len(text)
        return text


@dataclass(eq=False)
class Running:
    """An answer being written by this process; `clock` gives seconds, and never goes back."""

    message_id: int
    limit: int
    clock: Callable[[], float]
    attempt: int = 1
    task: asyncio.Task[None] | None = None
    text: Unstored = field(default_factory=Unstored)
    reasoning: Unstored = field(default_factory=Unstored)
    taken: bool = False
    finish: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    ending: Ending | None = None
    stored: asyncio.Event = field(default_factory=asyncio.Event)
    lost: bool = False
    """Whether it ended otherwise: by another process, or because it was deleted."""
    doubtful: bool = False
    """Whether it is not known what the last transaction stored, since it broke."""
    waiting: str | None = None
    """What it waits for, in words, where that is not stored yet."""
    committed: Answer = field(default_factory=lambda: Answer("generating"))
    """What is stored of it."""
    unstored_seconds: float | None = None
    _thinking: Thinking = field(default_factory=Thinking)
    _thinking_since: float | None = None
    _has_thought: bool = False

    @property
    def dirty(self) -> bool:
        """Whether there is something to be stored."""
        return bool(self.ending or self.text.unstored or self.reasoning.unstored or self.waiting is not None)

    @property
    def begun(self) -> bool:
        """Whether the model has said anything."""
        return bool(self.taken or self.ending)

    @property
    def unstored_length(self) -> int:
        """Characters that wait to be stored."""
        return self.text.length - self.text.stored + self.reasoning.length - self.reasoning.stored

    @property
    def full(self) -> bool:
        """Whether it has reached the limit of its length."""
        return max(self.text.length, self.reasoning.length) >= self.limit

    def go_on_behind(self, text: str, reasoning: str) -> None:
        """Go on with an answer that was interrupted here."""
        self.text, self.reasoning = Unstored(len(text)), Unstored(len(reasoning))
        self.committed = Answer("generating", text, reasoning)
        self._has_thought = bool(text or reasoning)

    def take(self, delta: Delta) -> bool:
        """Take what the model said next; whether it is the first of its text or its reasoning."""
        if delta.usage:
            self.prompt_tokens = delta.usage.prompt_tokens
            self.completion_tokens = delta.usage.completion_tokens
        self.finish = delta.finish or self.finish
        self.taken = self.taken or bool(delta.text or delta.reasoning)
        first_text, first_reasoning = not self.text.length, not self.reasoning.length
        self._think(delta.reasoning)
        if delta.text:
            self._say(self._thinking.feed(delta.text))
        return bool((first_text and self.text.length) or (first_reasoning and self.reasoning.length))

    def end(self, ending: Ending) -> None:
        """Settle how it ends, and end its task; the first word stands."""
        if self.ending is not None:
            return
        self.come_to_end()
        self.ending = replace(
            ending,
            finish=self.finish,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
        )
        # Once only: a second time could hit it while it closes the connection to the model.
        if self.task and self.task is not asyncio.current_task():
            self.task.cancel()

    def come_to_end(self) -> None:
        """Take what was held back: nothing more will come."""
        self._say(self._thinking.end())
        self.text.end()
        self.reasoning.end()
        self._stop_thinking()

    def give_up(self, ending: Ending) -> None:
        """Let go of what cannot be stored, and end in words that can."""
        self.text.unstored.clear()
        self.reasoning.unstored.clear()
        self.ending = ending

    def pieces(self) -> list[Piece]:
        """The text that is to be stored, one piece a kind."""
        found = []
        if text := "".join(self.text.unstored):
            found.append(Piece(self.message_id, "text", self.text.stored, text))
        if text := "".join(self.reasoning.unstored):
            found.append(Piece(self.message_id, "reasoning", self.reasoning.stored, text))
        return found

    def written(self, pieces: Sequence[Piece], notes: Mapping[str, Any]) -> None:
        """Let go of what was stored: these pieces, and these columns of the answer's row."""
        said = {piece.kind: piece.text for piece in pieces}
        self.text.store_up_to(self.text.stored + len(said.get("text", "")))
        self.reasoning.store_up_to(self.reasoning.stored + len(said.get("reasoning", "")))
        self.committed = self.committed._replace(
            text=self.committed.text + said.get("text", ""),
            reasoning=self.committed.reasoning + said.get("reasoning", ""),
            **notes,
        )

    def _say(self, said: Delta) -> None:
        self._think(said.reasoning)
        if self.text.add(said.text[: self._room(self.text)]):
            self._stop_thinking()

    def _think(self, reasoning: str) -> None:
        if not reasoning:
            return
        kept = self.reasoning.add(reasoning[: self._room(self.reasoning)])
        if self._thinking_since is None and kept.strip():
            self._thinking_since = self.clock()

    def _room(self, growing: Unstored) -> int:
        return max(self.limit - growing.length, 0)

    def _stop_thinking(self) -> None:
        """Note how long it thought, once: what it thinks later on does not count."""
        if self._thinking_since is not None and not self._has_thought:
            self._has_thought = True
            self.unstored_seconds = self.clock() - self._thinking_since
