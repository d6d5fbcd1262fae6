"""Reading what the server sends, as a browser would."""

from collections.abc import AsyncIterator

import httpx2
from bs4 import BeautifulSoup
from httpx2 import EventSource, ServerSentEvent


def select(response: httpx2.Response, selector: str, *, strip: bool = True) -> list[str]:
    """The text of each element that a CSS selector finds."""
    found = BeautifulSoup(response.text, "html.parser").select(selector)
    return [element.get_text().strip() if strip else element.get_text() for element in found]


def attributes(response: httpx2.Response, selector: str, name: str) -> list[str]:
    """One attribute of each element that a CSS selector finds."""
    return [
        str(element.get(name, "")) for element in BeautifulSoup(response.text, "html.parser").select(selector)
    ]


def events(response: httpx2.Response) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events as they arrive."""
    return aiter(EventSource(response))
