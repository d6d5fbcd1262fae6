"""Numbers: what Prometheus is told, where the settings say that it is."""

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from app.deps import CurrentChat

router = APIRouter(include_in_schema=False)


@router.get("/metrics")
async def numbers(chat: CurrentChat) -> Response:
    """Counts and times of this process; nothing that anyone wrote."""
    return Response(chat.metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})
