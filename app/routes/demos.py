"""Demonstrations, kept from the tutorial that this grew from: a stream of tokens, and checked JSON."""

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, field_validator
from starlette.responses import HTMLResponse, Response

from app.events import event_stream, streamed_ai_response
from app.providers import prompt_llm_async
from app.providers.scripted import Pause, ScriptedProvider
from app.streams import Events
from app.templating import page
from app.text import is_encodable

router = APIRouter(tags=["demos"])

# As a model's tokens come, in short: the pauses between them, in seconds, are uneven.
TOKENS = ["Hypermedia", " is", " the", " engine", " of", " application", " state", ":"]
TOKENS += [" this", " text", " came", " one", " token", " at", " a", " time", "."]
PAUSES = (0.05, 0.02, 0.12, 0.04, 0.2, 0.08, 0.03, 0.15, 0.02, 0.05, 0.1, 0.04, 0.08, 0.02, 0.06, 0.03)


class PromptData(BaseModel):
    """A prompt as JSON."""

    prompt: str = Field(
        min_length=1, max_length=200_000, examples=["Hello"], description="Anything but blank."
    )

    @field_validator("prompt")
    @classmethod
    def _not_blank(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("a prompt must not be blank")
        if not is_encodable(value):
            raise ValueError("a prompt must be text: this has half a surrogate pair")
        return value


@router.get(
    "/stream-example",
    response_class=HTMLResponse,
    summary="A stream of tokens",
    responses={
        200: {
            "content": {
                "text/event-stream": {
                    "schema": {"type": "string"},
                    "example": "id: 10\ndata: Hypermedia\n\nevent: done\ndata: complete\n\n",
                }
            }
        }
    },
)
async def stream_example() -> Response:
    """Fixed tokens as server-sent events, with uneven pauses, about a second in all; then `done`."""
    return event_stream(_tokens())


@router.post("/prompt_data", summary="A prompt, checked and given back")
async def prompt_data(data: PromptData) -> PromptData:
    """The JSON that was sent, if it holds a prompt; 422 with what is wrong otherwise."""
    return data


@router.get("/demo", include_in_schema=False)
async def demo(request: Request) -> Response:
    """A page that shows `/stream-example` with plain htmx attributes."""
    return page(request, "demos/stream.html")


def _tokens() -> Events:
    script: list[str | Pause] = [TOKENS[0]]
    for pause, token in zip(PAUSES, TOKENS[1:], strict=True):
        script += [Pause(pause), token]
    return streamed_ai_response(prompt_llm_async([], provider=ScriptedProvider(script)))
