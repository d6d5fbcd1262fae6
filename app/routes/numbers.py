"""Numbers: what Prometheus is told, where the settings say that it is."""

from fastapi import APIRouter
from starlette.responses import Response

from app.deps import CurrentChat
from app.prometheus import Prometheus

router = APIRouter(include_in_schema=False)


@router.get("/metrics")
async def numbers(chat: CurrentChat) -> Response:
    """Counts and times of this process; nothing that anyone wrote."""
    assert isinstance(chat.metrics, Prometheus)  # noqa: S101  Who has this route has those.
    return Response(chat.metrics.text(), headers={"Content-Type": chat.metrics.media_type})
