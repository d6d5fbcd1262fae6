"""A server in the manner of the tutorial that this chat grew from: each token is passed on as text.

python -m bench.baselines.tutorial UPSTREAM
"""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import httpx2
from fastapi import FastAPI, Form
from sse_starlette import EventSourceResponse

from bench.baselines.serving import serve

UPSTREAM = sys.argv[1] if len(sys.argv) > 1 else ""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One client for all requests, without its limit of a hundred connections."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx2.AsyncClient(base_url=UPSTREAM, limits=limits, timeout=None, trust_env=False) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


async def prompt_llm_async(prompt: str) -> AsyncIterator[str]:
    """The tokens of the model's answer."""
    body = {"model": "scripted", "stream": True, "messages": [{"role": "user", "content": prompt}]}
    async with app.state.client.stream("POST", "chat/completions", json=body) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: ") and line != "data: [DONE]":
                choice = json.loads(line.removeprefix("data: "))["choices"][0]
                if token := choice["delta"].get("content"):
                    yield token


@app.post("/completion")
async def completion(prompt: Annotated[str, Form()]) -> EventSourceResponse:
    """The answer, an event for each token."""
    return EventSourceResponse(prompt_llm_async(prompt))


@app.get("/")
async def ready() -> str:
    """Something to answer with."""
    return "Hello"


if __name__ == "__main__":
    serve(app)
