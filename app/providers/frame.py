"""What stands around the text in an answer's events, which is the same in most of them.

To read an event's JSON takes several times what is done with its text. By the grammar of JSON (RFC 8259,
section 7) the characters of a string may be exchanged for any others that a string may have, and nothing else
in the document changes: where it is known what stands around the text, the text alone is read.
"""

import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

_INSIDE = r'[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+'
_TEXT = re.compile(rf'"content":\s*"({_INSIDE})"')
_TEXT_BYTES = re.compile(_INSIDE.encode())
_END = re.compile(rb"\r?\n\r?\n")
_TRIAL = secrets.token_hex(16)
"""No document has it by chance, nor because it knows of it."""


@dataclass
class Frame:
    """What was around the text of the last events, once two in succession had the same.

    `read` gives the text of a document, or None for one that says anything else.
    """

    read: Callable[[str], str | None]
    _last: tuple[str, str] | None = None
    _around: tuple[bytes, bytes] | None = field(default=None, repr=False)

    def see(self, data: str) -> None:
        """Look at an event that was read and said nothing but text."""
        text = _TEXT.search(data)
        last, self._last = self._last, None
        if text and not _TEXT.search(data, text.end()) and "\n" not in data:
            self._last = data[: text.start(1)], data[text.end(1) :]
        if self._last is None or self._last != last:
            return
        before, after = self._last
        # Another text in its place must be all that changes.
        if self.read(f"{before}{_TRIAL}{after}") == _TRIAL:
            self._around = b"data: " + before.encode(), after.encode()

    def texts(self, chunk: bytes) -> tuple[list[str], int]:
        """The texts of the events that a chunk begins with, as far as they are alike, and where those end."""
        found: list[str] = []
        if self._around is None:
            return found, 0
        before, after = self._around
        position = 0
        while chunk.startswith(before, position):
            inside = _TEXT_BYTES.match(chunk, position + len(before))
            if not inside or not inside[0] or not chunk.startswith(after, inside.end()):
                break
            end = _END.match(chunk, inside.end() + len(after))
            if not end:
                break
            try:
                text = inside[0].decode()
            except UnicodeDecodeError:
                break
            found.append(json.loads(f'"{text}"') if "\\" in text else text)
            position = end.end()
        return found, position
