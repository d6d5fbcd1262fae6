"""Calls of a model as seen from outside: timed, counted and traced, without a word of what was said."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from time import perf_counter

from opentelemetry.trace import Tracer

from app import tracing
from app.generation import Answering
from app.metrics import BROKEN, FAILURES, Metrics
from app.providers import ChatMessage, Delta, Provider, ProviderError, Usage


def observed(answering: Answering, metrics: Metrics, tracer: Tracer, provider: Provider) -> Answering:
    """The same, with each call observed. One that is asked again for the same answer is another call.

    Where nothing is counted and no spans are taken nothing is looked at, which would cost for each token.
    """

    def answer(messages: list[ChatMessage]) -> AsyncGenerator[Delta, None]:
        watched = metrics.counts or tracing.leads_somewhere(tracer)
        return looked_at(messages) if watched else answering(messages)

    async def looked_at(messages: list[ChatMessage]) -> AsyncGenerator[Delta, None]:
        usage: Usage | None = None
        finish: str | None = None
        failure: str | None = None
        first: float | None = None
        characters = pieces = 0
        metrics.asked(sum(len(message["content"]) for message in messages))
        span = tracing.begin(tracer, provider)
        latest = perf_counter()
        try:
            async with aclosing(answering(messages)) as deltas:
                async for delta in deltas:
                    if said := len(delta.text) + len(delta.reasoning):
                        now = perf_counter()
                        if first is None:
                            metrics.first_token(first := now - latest)
                            metrics.next_tokens(0.0, delta.pieces - 1)
                        else:
                            metrics.next_tokens(now - latest, delta.pieces)
                        latest = now
                        characters += said
                        pieces += delta.pieces
                    usage = delta.usage or usage
                    finish = delta.finish or finish
                    yield delta
        except ProviderError as error:
            # A provider of one's own may have words of its own.
            failure = error.failure if error.failure in FAILURES else BROKEN
            raise
        except Exception:
            failure = BROKEN
            raise
        finally:
            if failure:
                metrics.failed(failure)
            metrics.answered(characters, pieces, usage)
            tracing.end(span, provider, first_token=first, usage=usage, finish=finish, failure=failure)

    return answer
