"""Calls of a model as they are seen from outside: timed and counted, without a word of what was said."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from time import perf_counter

from app.generation import Answering
from app.metrics import BROKEN, Metrics
from app.providers import ChatMessage, Delta, ProviderError, Usage


def observed(answering: Answering, metrics: Metrics) -> Answering:
    """The same, with each call observed. One that is asked again for the same answer is another call."""

    async def answer(messages: list[ChatMessage]) -> AsyncGenerator[Delta, None]:
        usage: Usage | None = None
        characters = pieces = 0
        metrics.asked(sum(len(message["content"]) for message in messages))
        latest = perf_counter()
        try:
            async with aclosing(answering(messages)) as deltas:
                async for delta in deltas:
                    if said := len(delta.text) + len(delta.reasoning):
                        now = perf_counter()
                        (metrics.next_token if pieces else metrics.first_token)(now - latest)
                        latest = now
                        characters += said
                        pieces += 1
                    usage = delta.usage or usage
                    yield delta
        except ProviderError as error:
            metrics.failed(error.failure)
            raise
        except Exception:
            metrics.failed(BROKEN)
            raise
        finally:
            metrics.answered(characters, pieces, usage)

    return answer
