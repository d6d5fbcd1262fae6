"""The bytes of a streamed chat completion, read into deltas."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeGuard

from app.providers import failures
from app.providers.events import EventReader, StrayError, TooLargeError
from app.providers.failures import Asked
from app.providers.frame import Frame
from app.providers.provider import Delta, ProviderError, Usage
from app.text import clean

MOST_TOKENS = 2**53
LONGEST_FINISH = 40


class AnswerReader:
    """Reads one answer. However its bytes are cut, the deltas put together are the same.

    Text that comes at one go is one delta, however many pieces it was sent in: most of what a token costs is
    what is done for each delta.
    """

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._events = EventReader()
        self._frame = Frame(_only_text)
        self._text = Halves()
        self._reasoning = Halves()
        self.begun = False
        """Whether some of the answer has come."""
        self.finished = False
        """Whether the server said that the answer is complete."""
        self.done = False
        """Whether nothing more will come."""

    def feed(self, chunk: bytes) -> Iterator[Delta]:
        """Yield what this chunk completes. Raises ProviderError."""
        texts, end = self._frame.texts(chunk) if self._events.is_between and not self.done else ([], 0)
        texts = [whole for text in texts if (whole := self._text.join(text))]
        self.begun = self.begun or bool(texts)
        if texts and end == len(chunk):
            return iter((_joined(texts),))
        return self._deltas(self._events.feed(chunk[end:]), texts)

    def end(self) -> Iterator[Delta]:
        """Yield what the end of the stream leaves. Raises ProviderError where the answer is not complete."""
        if not self.done:
            yield from self._deltas(self._events.end(), [])
        if not self.finished:
            raise failures.broken_off(self._asked)

    def _deltas(self, events: Iterator[str], texts: list[str]) -> Iterator[Delta]:
        failure: ProviderError | None = None
        try:
            for data in events:
                if self.done:
                    break
                if (delta := self._delta(data)) is None:
                    continue
                if delta.is_text:
                    self._frame.see(data)
                    texts.append(delta.text)
                    continue
                if texts:
                    yield _joined(texts)
                    texts.clear()
                yield delta
        except StrayError as stray:
            error = failures.error_in(failures.parsed(stray.line))
            failure = failures.of_event(error, self._asked) if error else failures.unreadable(self._asked)
        except TooLargeError:
            failure = failures.unreadable(self._asked)
        except ProviderError as error:
            failure = error
        if texts:
            yield _joined(texts)
        if failure:
            raise failure

    def _delta(self, data: str) -> Delta | None:
        """What an event says, if it says anything."""
        if data == "[DONE]":
            self.finished = self.done = True
            return _said(self._text.rest(), self._reasoning.rest())
        document = failures.parsed(data)
        if not isinstance(document, dict):
            return None
        if error := failures.error_in(document):
            raise failures.of_event(error, self._asked)
        content, reasoning, usage, finish = _parts(document)
        delta = _said(self._text.join(content), self._reasoning.join(reasoning), usage, finish)
        if delta:
            self.begun = self.begun or bool(delta.text or delta.reasoning)
            self.finished = self.finished or delta.finish is not None
        return delta


class Halves:
    r"""Joins characters sent in two halves, as JSON's `\ud83d` in one piece and `\ude00` in the next."""

    def __init__(self) -> None:
        self._half = ""

    def join(self, text: str) -> str:
        """The text as far as its characters are whole; a half that found no other becomes U+FFFD."""
        if not text:
            return ""
        text, self._half = self._half + text, ""
        if text.isascii():
            return text
        if "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return _mended(text)

    def rest(self) -> str:
        """What stands for a half whose other never came."""
        half, self._half = self._half, ""
        return _mended(half)


def _mended(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _joined(texts: Sequence[str]) -> Delta:
    return Delta("".join(texts), pieces=len(texts))


def _said(text: str, reasoning: str, usage: Usage | None = None, finish: str | None = None) -> Delta | None:
    return Delta(text, reasoning, usage, finish) if text or reasoning or usage or finish else None


def _parts(document: dict[str, Any]) -> tuple[str, str, Usage | None, str | None]:
    """The text, the reasoning, the usage and the end that a document tells of."""
    choices = document.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    piece = choice.get("delta") or choice.get("message")
    if not isinstance(piece, dict):
        piece = {}
    finish = choice.get("finish_reason")
    return (
        _first_text(piece, "content", "refusal"),
        _first_text(piece, "reasoning_content", "reasoning"),
        _usage(document.get("usage")),
        clean(finish)[:LONGEST_FINISH] if isinstance(finish, str) and finish else None,
    )


def _only_text(data: str) -> str | None:
    """The text of a document that tells of nothing else."""
    document = failures.parsed(data)
    if not isinstance(document, dict) or failures.error_in(document):
        return None
    text, *others = _parts(document)
    return None if any(others) else text


def _first_text(piece: dict[str, Any], *names: str) -> str:
    for name in names:
        if (value := piece.get(name)) and isinstance(value, str):
            return value
    return ""


def _usage(counts: object) -> Usage | None:
    if not isinstance(counts, dict):
        return None
    prompt, completion = counts.get("prompt_tokens"), counts.get("completion_tokens")
    return Usage(prompt, completion) if _is_count(prompt) and _is_count(completion) else None


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST_TOKENS
