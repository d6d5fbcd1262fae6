"""A browser's baseline: each token appended as plain text by htmx; nothing is rendered, nothing stored.

python -m bench.plain PORT
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from html import escape

import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from sse_starlette import EventSourceResponse, ServerSentEvent

from bench.text import SECONDS_PER_TOKEN, tokens

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Plain</title>
<meta name="htmx-config" content='{"extensions":"sse","defaultSettleDelay":0}'>
<script src="/static/htmx/htmx.min.js"></script><script src="/static/htmx/hx-sse.min.js"></script></head>
<body><button hx-get="/answer" hx-target="#log" hx-swap="beforeend">Send</button><main id="log"></main></body>
</html>"""
ANSWER = """<article><p id="text" style="white-space:pre-wrap"></p>
<div hx-sse:connect="/stream" hx-sse:close="done" hx-swap="beforeend" hx-target="#text"></div></article>"""

app = FastAPI()
app.mount("/static", StaticFiles(directory="static"))


@app.get("/", response_class=HTMLResponse)
async def page() -> str:
    """The page."""
    return PAGE


@app.get("/answer", response_class=HTMLResponse)
async def answer() -> str:
    """A place for the text, and a stream that fills it."""
    return ANSWER


@app.get("/stream")
async def stream() -> EventSourceResponse:
    """Each token as an event of its own."""
    return EventSourceResponse(_events(), sep="\n")


async def _events() -> AsyncIterator[ServerSentEvent]:
    for token in tokens():
        await asyncio.sleep(SECONDS_PER_TOKEN)
        # Blanks alone htmx would leave out.
        yield ServerSentEvent(escape(token) if token.strip() else f"<span>{token}</span>", sep="\n")
    yield ServerSentEvent('<b id="end"></b>', sep="\n")
    yield ServerSentEvent("", event="done", sep="\n")


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
