"""Who asks: htmx in our page, a browser without it, or a program."""

from enum import Enum

from starlette.requests import Request


class Reader(Enum):
    """What an answer to a POST, or an error, has to look like."""

    HTMX = "a fragment"
    BROWSER = "a page"
    SCRIPT = "data"


def reader_of(request: Request) -> Reader:
    """By `HX-Request`, which only htmx sends, and by whether HTML is accepted by name, as browsers do."""
    if request.headers.get("HX-Request") == "true":
        return Reader.HTMX
    if "text/html" in request.headers.get("Accept", ""):
        return Reader.BROWSER
    return Reader.SCRIPT
