"""Reasoning: told from the answer where a model writes both into one text; and how long it took, in words."""

from typing import Literal

from app.providers import Delta

TAGS = {"<think>": "</think>", "<thinking>": "</thinking>"}
MOST_BLANKS = 100
"""How many blanks in front of a tag are waited for; a text that is blank for longer is text."""


class Thinking:
    """Takes reasoning between `<think>` tags, at the very beginning of a text only, out of that text.

    However the text is cut, the deltas put together are the same. Without an end tag all of it is
    reasoning. The blanks behind an end tag count as reasoning, so that the text begins with a word.
    """

    def __init__(self) -> None:
        self._held = ""
        self._place: Literal["beginning", "inside", "behind", "text"] = "beginning"
        self._end_tag = ""

    def feed(self, text: str) -> Delta:
        """What is certain by now of the text and the reasoning; the rest waits for more."""
        held, self._held = self._held + text, ""
        match self._place:
            case "beginning":
                return self._begin(held)
            case "inside":
                return self._go_on_inside(held)
            case "behind":
                return self._go_on_behind(held)
            case "text":
                return Delta(text=held)

    def end(self) -> Delta:
        """What was held back."""
        held, self._held = self._held, ""
        return Delta(reasoning=held) if self._place == "inside" else Delta(text=held)

    def _begin(self, held: str) -> Delta:
        said = held.lstrip()
        if len(held) - len(said) <= MOST_BLANKS:
            for tag, end_tag in TAGS.items():
                if said.startswith(tag):
                    self._place, self._end_tag = "inside", end_tag
                    return self._go_on_inside(said[len(tag) :])
            if any(tag.startswith(said) for tag in TAGS):
                self._held = held
                return Delta()
        self._place = "text"
        return Delta(text=held)

    def _go_on_inside(self, held: str) -> Delta:
        reasoning, found, behind = held.partition(self._end_tag)
        if found:
            self._place = "behind"
            rest = self._go_on_behind(behind)
            return Delta(text=rest.text, reasoning=reasoning + rest.reasoning)
        certain = len(held) - _begun(self._end_tag, held)
        self._held = held[certain:]
        return Delta(reasoning=held[:certain])

    def _go_on_behind(self, held: str) -> Delta:
        text = held.lstrip()
        if text:
            self._place = "text"
        return Delta(text=text, reasoning=held[: len(held) - len(text)])


def thought(seconds: float | None, *, running: bool) -> str:
    """What to call the reasoning of an answer that took so many seconds; None while that is not known."""
    if seconds is None:
        return "Thinking…" if running else "Thoughts"
    if seconds < 1:
        return "Thought for a moment"
    minutes, rest = divmod(round(seconds), 60)
    counted = [_counted(minutes, "minute"), _counted(rest, "second")]
    return f"Thought for {' '.join(words for words in counted if words)}"


def _begun(tag: str, text: str) -> int:
    """How much of a tag a text may have begun with its end, in characters."""
    return next(size for size in range(len(tag) - 1, -1, -1) if text.endswith(tag[:size]))


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}{'' if number == 1 else 's'}" if number else ""
