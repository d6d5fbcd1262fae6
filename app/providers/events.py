"""Server-sent events, read from bytes however the network cut them."""

from collections.abc import Iterator


class TooLargeError(Exception):
    """One event is larger than any honest one."""


class StrayError(Exception):
    """The server put a page or a bare JSON document where events belong; `line` is its first line."""

    def __init__(self, line: bytes) -> None:
        super().__init__()
        self.line = line


class EventReader:
    """Gathers the data of events; only lines of `data:` count, all else of the format is passed over."""

    def __init__(self, limit: int = 8_000_000) -> None:
        self._limit = limit
        self._cut: list[bytes] = []
        self._data: list[bytes] = []
        self._held = 0
        self._at_start = True

    @property
    def is_between(self) -> bool:
        """Whether what comes next is the beginning of an event."""
        return not (self._cut or self._data or self._at_start)

    def feed(self, chunk: bytes) -> Iterator[str]:
        """Yield the data of each event that this chunk completes. Raises TooLargeError, StrayError."""
        *lines, tail = chunk.split(b"\n")
        self._held += len(chunk)
        if lines:
            lines[0] = b"".join((*self._cut, lines[0]))
            self._cut.clear()
        if tail:
            self._cut.append(tail)
        for line in lines:
            if (data := self._take(line.removesuffix(b"\r"))) is not None:
                yield data
        if not self._data and lines:
            self._held = len(tail)
        if self._held > self._limit:
            raise TooLargeError

    def end(self) -> Iterator[str]:
        """Yield what the stream ended with, although the blank line after it never came."""
        for line in (b"".join(self._cut).removesuffix(b"\r"), b""):
            if (data := self._take(line)) is not None:
                yield data

    def _take(self, line: bytes) -> str | None:
        """Take a line; the data of the event that it ends, if it ends one."""
        if self._at_start:
            line = line.removeprefix(b"\xef\xbb\xbf")
            self._at_start = False
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
        elif not line and self._data:
            # Lines end at ASCII bytes, so a character that two chunks share is whole again here.
            event = b"\n".join(self._data).decode("utf-8", "replace")
            self._data.clear()
            return event
        elif line.lstrip().startswith((b"<", b"{")):
            raise StrayError(line.strip())
        return None
