"""What the tests of providers share: a scripted upstream, and a client of it."""

import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from app.providers.openai import OpenAIProvider
from app.providers.provider import ChatMessage
from tests.upstream import Upstream

Connect = Callable[..., OpenAIProvider]

HELLO: list[ChatMessage] = [{"role": "user", "content": "Hello"}]


def hold_up(seconds: float) -> None:
    """Keep this process's event loop from everything; other threads go on."""
    time.sleep(seconds)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
async def connect(upstream: Upstream) -> AsyncIterator[Connect]:
    """Makes providers that ask the upstream, unless told otherwise, and closes them."""
    made: list[OpenAIProvider] = []

    def connect(
        base_url: str = upstream.url, model: str | None = "scripted", **options: object
    ) -> OpenAIProvider:
        provider = OpenAIProvider(base_url, model=model, **options)  # type: ignore[arg-type]  # passed on
        made.append(provider)
        return provider

    yield connect
    for provider in made:
        await provider.close()
