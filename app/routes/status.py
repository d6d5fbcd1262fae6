"""Status: which model answers and whether it can, and what the page shows when the server is away."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.deps import CurrentChat
from app.static_files import StaticFiles
from app.templating import page

router = APIRouter(include_in_schema=False)


@router.get("/model")
async def model(request: Request, chat: CurrentChat) -> Response:
    """Which model answers; asks again by itself until it is ready."""
    return page(request, "status/_model.html", model=chat.provider)


@router.get("/favicon.ico")
async def icon(request: Request) -> Response:
    """The icon, for addresses that are no pages of ours."""
    static: StaticFiles = request.app.state.static
    return Response(
        static.read("icon.svg"), media_type="image/svg+xml", headers={"Cache-Control": "max-age=86400"}
    )


@router.get("/offline")
async def offline(request: Request) -> Response:
    """What to say when the server cannot be reached; fetched ahead of that and cached."""
    return page(
        request,
        "status/_offline.html",
        headers={"Cache-Control": "private, max-age=86400", "Vary": "Accept-Encoding"},
    )
