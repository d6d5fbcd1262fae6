"""Baselines for a browser, beside the tutorial's server: no text is rendered, nothing stored.

One is a page to which htmx appends each token as plain text, the other a bare form with one stylesheet.

python -m bench.baselines.plain UPSTREAM
"""

from collections.abc import AsyncIterator
from html import escape

from fastapi import Response
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from sse_starlette import EventSourceResponse, ServerSentEvent

from bench.baselines.serving import serve
from bench.baselines.tutorial import app, prompt_llm_async
from bench.history import answers, prompts
from bench.processes import ROOT

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Plain</title>
<meta name="htmx-config" content='{{"extensions":"sse","defaultSettleDelay":0}}'>
<script src="/static/htmx/htmx.min.js"></script><script src="/static/htmx/hx-sse.min.js"></script></head>
<body><main id="log">{log}</main>
<form hx-get="/answer" hx-target="#log" hx-swap="beforeend"><input name="prompt" aria-label="Message">
<button>Send</button></form></body></html>"""
BARE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Bare</title>
<link rel="stylesheet" href="/bare.css"></head><body><main>{log}</main>
<form method="post" action="/completion"><textarea name="prompt" aria-label="Message"></textarea>
<button>Send</button></form></body></html>"""
STYLE = """body { max-width: 40rem; margin: 1rem auto; font: 1rem/1.5 sans-serif }
form { display: flex; gap: 1rem } textarea { flex: 1 }"""
ARTICLE = '<article class="prompt">{prompt}</article><article class="answer"><p style="white-space:pre-wrap"'
ANSWER = (
    ARTICLE + ' class="text"></p><div hx-sse:connect="/stream?prompt={prompt}" hx-sse:close="done" '
    'hx-swap="beforeend" hx-target="previous .text"></div></article>'
)
BEFORE = ARTICLE + ">{answer}</p></article>"

app.mount("/static", StaticFiles(directory=ROOT / "static"))


@app.get("/chat", response_class=HTMLResponse)
async def page(turns: int = 0) -> str:
    """The page, with so many turns in it."""
    return PAGE.format(log=_log(turns))


@app.get("/bare", response_class=HTMLResponse)
async def bare(turns: int = 0) -> str:
    """The bare page, with so many turns in it."""
    return BARE.format(log=_log(turns))


@app.get("/bare.css")
async def style() -> Response:
    """Its stylesheet."""
    return Response(STYLE, media_type="text/css", headers={"Cache-Control": "max-age=31536000, immutable"})


@app.get("/answer", response_class=HTMLResponse)
async def answer(prompt: str) -> str:
    """What was asked, a place for the text, and a stream that fills it."""
    return ANSWER.format(prompt=escape(prompt))


@app.get("/stream")
async def stream(prompt: str) -> EventSourceResponse:
    """Each token as an event of its own."""
    return EventSourceResponse(_events(prompt), sep="\n")


def _log(turns: int) -> str:
    said = zip(prompts(turns), answers(turns), strict=True)
    return "".join(BEFORE.format(prompt=escape(ask), answer=escape(told)) for ask, told in said)


async def _events(prompt: str) -> AsyncIterator[ServerSentEvent]:
    async for token in prompt_llm_async(prompt):
        # Blanks alone htmx would leave out.
        yield ServerSentEvent(escape(token) if token.strip() else f"<span>{token}</span>", sep="\n")
    yield ServerSentEvent('<b class="ending"></b>', sep="\n")
    yield ServerSentEvent("", event="done", sep="\n")


if __name__ == "__main__":
    serve(app)
