"""Tracing: what a collector is sent where one is configured, and that nothing is done where none is."""

import re
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from pathlib import Path
from socket import socket

import httpx2
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.trace import StatusCode, Tracer

from app import tracing
from app.calls import observed
from app.metrics import Metrics
from app.providers import ChatMessage, Delta, Failure, ProviderError, Usage
from app.providers.scripted import PAUSE, Piece, ScriptedProvider
from e2e.server import Server
from tests.collector import Collector
from tests.upstream import Upstream

ROOT = Path(__file__).parent.parent

MESSAGES: list[ChatMessage] = [{"role": "user", "content": "open sesame"}]


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


def attributes(span: Span) -> dict[str, object]:
    return {
        one.key: getattr(one.value, one.value.WhichOneof("value") or "string_value")
        for one in span.attributes
    }


def test_a_request_and_the_call_that_it_began_are_one_trace_without_content(
    tmp_path: Path, collector: Collector
) -> None:
    with (
        Upstream() as upstream,
        Server(
            tmp_path, openai_base_url=upstream.url, model="m", log_level="info", **collector.settings
        ) as server,
    ):
        upstream.will_say("sesame is open", usage=Usage(7, 3))
        httpx2.post(f"{server.url}/completion?q=sesame", data={"prompt": "open sesame"}, trust_env=False)
        httpx2.get(f"{server.url}/healthz", trust_env=False)
        server.stop()

    assert not any(b"sesame" in body for body in collector.bodies)
    request, call = sorted(collector.spans, key=lambda span: span.kind)
    assert request.name == "POST /completion"
    assert attributes(request)["http.response.status_code"] == 200
    assert attributes(request)["url.query"] == "REDACTED"
    assert (call.trace_id, call.parent_span_id) == (request.trace_id, request.span_id)
    assert call.name == "chat m"
    told = attributes(call)
    assert float(str(told.pop("gen_ai.response.time_to_first_chunk"))) > 0
    told.pop("gen_ai.response.finish_reasons")
    assert told == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m",
        "gen_ai.request.stream": True,
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
    }
    assert f"trace_id={request.trace_id.hex()}" in server.log


def test_a_worker_sends_spans_of_its_calls(tmp_path: Path, store: str, collector: Collector) -> None:
    with Upstream() as upstream:
        settings = {"openai_base_url": upstream.url, "model": "m", "generate_in": "worker"}
        with (
            Server(tmp_path, **settings) as web,
            Server(tmp_path, command="worker", **settings, **collector.settings) as worker,
        ):
            httpx2.post(f"{web.url}/completion", data={"prompt": "Hi"}, trust_env=False, timeout=20)
            worker.stop()

    assert [span.name for span in collector.spans] == ["chat m"]


@pytest.mark.parametrize("collector_is", ["away", "silent"])
def test_a_collector_that_does_not_answer_neither_disturbs_nor_holds_up(
    tmp_path: Path, collector_is: str
) -> None:
    with socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if collector_is == "silent":
            silent.listen()
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "openai_base_url": "http://127.0.0.1:9/v1"}
        with Server(tmp_path, model="m", **settings) as server:
            assert httpx2.get(server.url, trust_env=False).status_code == 200
            assert server.end(signal.SIGTERM, seconds=3) == 0

    assert "Traceback" not in server.log


def run(program: str, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={"PATH": "", **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    ).stderr


def test_where_nothing_is_configured_nothing_of_it_is_loaded() -> None:
    program = (
        "import sys\nfrom app.main import create_app\nfrom app import tracing\n"
        "create_app()\ntracing.set_up()\n"
        "assert not [name for name in sys.modules if name.startswith(('opentelemetry.sdk', "
        "'opentelemetry.exporter', 'google.protobuf', 'requests'))]\n"
        "assert not tracing.tracer().start_span('x').is_recording()\n"
    )

    assert run(program) == ""
    away = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    assert run(program, **away, OTEL_SDK_DISABLED="true") == ""
    assert run(program, **away, OTEL_TRACES_EXPORTER="none") == ""


def test_where_it_is_configured_but_not_installed_the_log_says_what_to_install() -> None:
    said = run(
        "import sys\nsys.modules['opentelemetry.sdk.trace'] = None\n"
        "from app import logs, tracing\nlogs.configure('text', 'warning')\ntracing.set_up()\n",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
    )

    assert "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http" in said
    assert "Traceback" not in said


def test_what_another_has_set_up_is_left_alone() -> None:
    said = run(
        "from opentelemetry import trace\nfrom opentelemetry.sdk.trace import TracerProvider\n"
        "theirs = TracerProvider()\ntrace.set_tracer_provider(theirs)\n"
        "from app import tracing\ntracing.set_up()\n"
        "assert trace.get_tracer_provider() is theirs\n"
        "assert not theirs._active_span_processor._span_processors\n",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
    )

    assert said == ""  # no attempt was made


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exporter: InMemorySpanExporter) -> Tracer:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider.get_tracer("test")


def asked(tracer: Tracer, *script: Piece) -> AsyncGenerator[Delta, None]:
    provider = ScriptedProvider(script, model="m")
    return observed(provider.stream, Metrics(), tracer, provider)(MESSAGES)


def only(exporter: InMemorySpanExporter) -> ReadableSpan:
    [span] = exporter.get_finished_spans()
    return span


@pytest.mark.parametrize(("failure", "told"), [("rate_limited", "rate_limited"), ("sk-sesame", "broken")])
async def test_a_call_that_fails_says_how_and_nothing_else(
    tracer: Tracer, exporter: InMemorySpanExporter, failure: Failure, told: str
) -> None:
    with pytest.raises(ProviderError):
        async for _ in asked(tracer, "sesame", ProviderError("sesame", failure)):
            pass

    span = only(exporter)
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == told
    assert "sesame" not in span.to_json()


async def test_a_call_that_is_left_ends_its_span_without_a_failure(
    tracer: Tracer, exporter: InMemorySpanExporter
) -> None:
    async with aclosing(asked(tracer, "One", PAUSE)) as pieces:
        await anext(pieces)

    assert only(exporter).status.status_code is StatusCode.UNSET


def test_the_names_are_those_of_the_conventions() -> None:
    used = set(re.findall(r'"(gen_ai\.[a-z_.]+)"', Path(tracing.__file__).read_text()))

    assert len(used) == 8
    assert used <= {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}
