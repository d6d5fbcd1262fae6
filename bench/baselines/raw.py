"""A proxy without a framework: the upstream's bytes, as they come, nothing read in them.

    python -m bench.baselines.raw HOST:PORT

It is the least that a server in Python can do between a model and a reader: uvicorn on one side, asyncio's
own connection on the other.
"""

import asyncio
import sys
from typing import Any

from bench.baselines.serving import serve

ADDRESS = sys.argv[1] if len(sys.argv) > 1 else ""
REQUEST = "POST /v1/chat/completions HTTP/1.0\r\nHost: {}\r\nContent-Length: {}\r\n\r\n"
START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Pass the body of the request on, and what is answered back."""
    if scope["type"] != "http":
        return
    body = (await receive())["body"]
    host, _, port = ADDRESS.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    gone = asyncio.ensure_future(receive())
    gone.add_done_callback(lambda _: writer.close())
    try:
        writer.write(REQUEST.format(ADDRESS, len(body)).encode() + body)
        await reader.readuntil(b"\r\n\r\n")
        await send(START)
        while data := await reader.read(65_536):
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        gone.cancel()


if __name__ == "__main__":
    serve(app)
