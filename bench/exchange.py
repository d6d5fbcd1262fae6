"""One request at a time over a socket of its own, with the moment at which something had come."""

import re
import socket
from dataclasses import dataclass
from time import monotonic
from typing import Self

from bench.arrivals import Kind
from bench.load import request

LIMIT_SECONDS = 30
FIRST_TOKEN: dict[Kind, bytes] = {
    "raw": rb'"content":"[^"]',
    "tutorial": rb"data: \S",
    "text": rb"\nid: ?\d",
    "html": rb"\nid: ?\d",
}


class Exchange:
    """A request that was sent, at `asked`, and what has come of it."""

    def __init__(self, port: int, sent: bytes) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), LIMIT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.came = b""
        self.asked = monotonic()
        self._socket.sendall(sent)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def until(self, pattern: bytes) -> float:
        """Read until something has come; when it had."""
        while not re.search(pattern, self.came):
            data = self._socket.recv(65_536)
            now = monotonic()
            if not data:
                raise AssertionError(f"{pattern!r} is not in {self.came[-500:]!r}")
            self.came += data
        return now

    def all(self) -> bytes:
        """Read to the end."""
        while data := self._socket.recv(65_536):
            self.came += data
        return self.came


@dataclass(frozen=True)
class Asked:
    """An answer that was asked for, and the exchange that it comes in."""

    at: float
    exchange: Exchange
    path: str = ""
    """Where it can be read again, if it can."""


def asking(kind: Kind, port: int, prompt: str) -> Asked:
    """Ask for an answer."""
    exchange = Exchange(port, request(kind, prompt))
    if kind == "text":
        exchange.until(rb"\r\n\r\n")
        found = re.search(rb"content-location: (\S+)", exchange.came, re.IGNORECASE)
        return Asked(exchange.asked, exchange, found.group(1).decode() if found else "")
    if kind != "html":
        return Asked(exchange.asked, exchange)
    with exchange:
        path = stream_in(exchange.all())
    return Asked(exchange.asked, Exchange(port, get(path)), path)


def stream_in(page: bytes) -> str:
    """The address of the stream of a running answer's piece."""
    found = re.search(rb"/completion/\d+/fragments[^\"' ]*", page)
    if not found:
        raise AssertionError(f"no stream in {page[:500]!r}")
    return found.group().decode()


def get(path: str, *headers: str) -> bytes:
    """A request for a page or a stream."""
    return _head("GET", path, *headers)


def post(path: str, *headers: str) -> bytes:
    """A request with nothing in it."""
    return _head("POST", path, "Content-Length: 0", *headers)


def _head(method: str, path: str, *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode()
