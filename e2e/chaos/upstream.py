"""The model: says numbered words that no two requests share, and keeps account of who asked for what."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from time import monotonic
from typing import Any, Self

from e2e.chaos.records import Asked

PROMPT = "Prompt {number}: {pieces} pieces, one in {pause} ms, {thoughts} thoughts"
_PROMPT = re.compile(r"Prompt (\d+): (\d+) pieces, one in (\d+) ms, (\d+) thoughts")
WORD = re.compile(r"‹\d+\.\d+\.\d+›")
"""A word of an answer: the prompt's number, the request's, its own."""
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


class Model:
    """An OpenAI-compatible server, to be used by `async with`; what it is asked is in `asked`."""

    def __init__(self, asked: list[Asked]) -> None:
        self.asked = asked
        self._times: Counter[str] = Counter()
        self._port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    def url(self, process: int) -> str:
        """The address that a process is given, by which it is told from the others."""
        return f"http://127.0.0.1:{self._port}/{process}/v1"

    def open_requests(self, process: int) -> list[Asked]:
        """What a process is having answered now."""
        return [one for one in self.asked if one.process == process and one.closed_at is None]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        asked: Asked | None = None
        answering: asyncio.Task[None] | None = None
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            size = re.search(r"(?i)content-length: (\d+)", head)
            body = json.loads(await reader.readexactly(int(size[1]) if size else 0))
            asked = self._take(process=int(head.split("/")[1]), prompt=body["messages"][-1]["content"])
            answering = asyncio.create_task(self._answer(asked, writer))
            leaving = asyncio.create_task(_left(reader))
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
            leaving.cancel()
        except (OSError, asyncio.IncompleteReadError):
            pass  # it was killed before it had asked
        finally:
            if answering:
                answering.cancel()
                with suppress(asyncio.CancelledError, OSError):
                    await answering
            if asked:
                asked.closed_at = monotonic()
            writer.close()

    def _take(self, process: int, prompt: str) -> Asked:
        count = self._times[prompt]
        self._times[prompt] += 1
        number, pieces, _, thoughts = _numbers(prompt)
        asked = Asked(
            prompt,
            process,
            count,
            text="".join(_pieces(number, count, 0, pieces)),
            reasoning="".join(_pieces(number, count, pieces, thoughts)),
            began_at=monotonic(),
        )
        self.asked.append(asked)
        return asked

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        number, pieces, pause, thoughts = _numbers(asked.prompt)
        writer.write(HEAD)
        for piece in _pieces(number, asked.number, pieces, thoughts):
            asked.sent_reasoning += piece
            await _send(writer, _delta({"reasoning_content": piece}))
            await asyncio.sleep(pause / 1000)
        for piece in _pieces(number, asked.number, 0, pieces):
            # Counted before it is sent: nobody can have what is not counted.
            asked.sent_text += piece
            await _send(writer, _delta({"content": piece}))
            await asyncio.sleep(pause / 1000)
        asked.whole = True
        await _send(writer, _delta({}, finish="stop"))
        await _send(writer, b"data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")
        await writer.drain()


def _numbers(prompt: str) -> tuple[int, int, int, int]:
    found = _PROMPT.fullmatch(prompt)
    if not found:
        raise ValueError(f"no prompt of ours: {prompt!r}")
    number, pieces, pause, thoughts = (int(group) for group in found.groups())
    return number, pieces, pause, thoughts


def _pieces(number: int, request: int, start: int, count: int) -> Iterator[str]:
    """Words, with characters between them by which positions are easily miscounted."""
    ends = (" ", " é ", " 😀 ", "\n\n", " 🏳️‍🌈 ")
    for piece in range(start, start + count):
        yield f"‹{number}.{request}.{piece}›{ends[piece % len(ends)]}"


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))
    await writer.drain()


def _delta(fields: dict[str, Any], finish: str | None = None) -> bytes:
    document = {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}
    return b"data: " + json.dumps(document).encode() + b"\n\n"


async def _left(reader: asyncio.StreamReader) -> None:
    """Return once the client has closed its connection."""
    with suppress(OSError):
        await reader.read()
