"""Health: whether this process lives, and whether it should be sent requests."""

from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

from app import schema
from app.db import Unavailable
from app.deps import CurrentChat

router = APIRouter(include_in_schema=False)


@router.get("/healthz")
async def alive() -> Response:
    """200 as long as the process answers at all."""
    return PlainTextResponse("ok\n")


@router.get("/readyz")
async def ready(chat: CurrentChat) -> Response:
    """200, or 503 with the reason: the database is away, its schema is another, or this process is ending."""
    if chat.generations.draining:
        return PlainTextResponse("ending\n", 503)
    try:
        await chat.database.ping()
    except (Unavailable, schema.Wrong) as error:
        return PlainTextResponse(f"{error}\n", 503)
    return PlainTextResponse("ok\n")
