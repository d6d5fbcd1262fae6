"""Tracing: a span for each request and each call of a model, where OpenTelemetry is installed and configured.

FastAPI depends on its interface alone, which does nothing. Spans of requests are FastAPI's own (`REQUESTS`);
those of calls are made here, after the conventions for generative AI, without a word of what was said.
"""

import asyncio
import logging
import os
from threading import Thread

from fastapi.telemetry import TelemetryConfig
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer

from app.providers import Provider, Usage
from app.security import BY_ADDRESS

REQUESTS: TelemetryConfig = {
    "auto_configure": False,  # `set_up` serves processes without a web server, too
    "metrics": False,  # `/metrics` has ours, and many who take spans take nothing else
    "logs": False,
    "operation_spans": False,
    "exclude": lambda scope: scope["path"] in BY_ADDRESS,
}

PROVIDERS = {"OpenAIProvider": "openai", "EmbeddedProvider": "llama.cpp"}

MISSING = (
    "OTEL_EXPORTER_OTLP_ENDPOINT is set, but what would send spans there is not installed: "
    "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"
)

FLUSH_SECONDS = 0.5

_log = logging.getLogger(__name__)


def set_up() -> None:
    """Send spans to where the standard variables say, unless something else did that before."""
    endpoint = any(os.environ.get(f"OTEL_EXPORTER_OTLP_{name}") for name in ("ENDPOINT", "TRACES_ENDPOINT"))
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    otlp = os.environ.get("OTEL_TRACES_EXPORTER", "otlp").lower() in ("otlp", "")
    if not endpoint or off or not otlp or _is_set_up():
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        _log.warning(MISSING)
        return
    provider = TracerProvider(shutdown_on_exit=False)  # that would wait for as long as a collector is away
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


async def flush() -> None:
    """Send what is left; a collector that is away does not hold up a process that ends."""
    if send := getattr(trace.get_tracer_provider(), "force_flush", None):
        sending = Thread(target=send, daemon=True)
        sending.start()
        await asyncio.to_thread(sending.join, FLUSH_SECONDS)


def tracer() -> Tracer:
    """What makes our spans; they lead nowhere unless something is set up."""
    return trace.get_tracer("fastapi-llm")


def leads_somewhere(tracer: Tracer) -> bool:
    """Whether anybody is sent its spans."""
    return not isinstance(tracer, trace.ProxyTracer | trace.NoOpTracer) or _is_set_up()


def hide_query() -> None:
    """Keep what stands behind a request's question mark out of its span."""
    span = trace.get_current_span()
    if span.is_recording():
        span.set_attribute("url.query", "REDACTED")


def begin(tracer: Tracer, provider: Provider) -> Span:
    """A span for a call of a model, within that of the request that began it."""
    attributes: dict[str, str | bool] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": PROVIDERS.get(type(provider).__name__, "_OTHER"),
        "gen_ai.request.model": provider.model,
        "gen_ai.request.stream": True,
    }
    return tracer.start_span(f"chat {provider.model}", kind=SpanKind.CLIENT, attributes=attributes)


def end(
    span: Span,
    provider: Provider,
    *,
    first_token: float | None = None,
    usage: Usage | None = None,
    finish: str | None = None,
    failure: str | None = None,
) -> None:
    """End it with what the call has brought; `first_token` came after so many seconds."""
    # One that was not named before it was asked has a name now.
    span.update_name(f"chat {provider.model}")
    span.set_attribute("gen_ai.request.model", provider.model)
    if first_token is not None:
        span.set_attribute("gen_ai.response.time_to_first_chunk", first_token)
    if usage:
        span.set_attribute("gen_ai.usage.input_tokens", usage.prompt_tokens)
        span.set_attribute("gen_ai.usage.output_tokens", usage.completion_tokens)
    if finish:
        span.set_attribute("gen_ai.response.finish_reasons", [finish])
    if failure:
        span.set_attribute("error.type", failure)
        span.set_status(Status(StatusCode.ERROR))
    span.end()


def _is_set_up() -> bool:
    return type(trace.get_tracer_provider()) is not trace.ProxyTracerProvider
