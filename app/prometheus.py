"""Prometheus: every instrument that it is told of, and every label that one may have.

Nothing that a person, a model or a server wrote is a label.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from time import perf_counter
from typing import get_args

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
    start_http_server,
)

from app.metrics import BROKEN, FAILURES, Metrics, Outcome, Recovery, StreamKind
from app.providers import Usage
from app.refusals import Unavailable
from app.tables import Status

FIRST_TOKEN_BUCKETS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 6, 12, 25, 60)
GAP_BUCKETS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.2, 2.5, 5, 10, 30)
COMMIT_BUCKETS = (0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.12, 0.25, 0.5, 1, 2.5, 5)

NAMESPACE = "fastapi_llm"

_log = logging.getLogger(__name__)


class Prometheus(Metrics):
    """The instruments of one application, in a registry of its own."""

    counts = True
    media_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        """Nothing is there to be seen but at `text` and where it is told to `listen`."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._first = self._histogram(
            "time_to_first_token_seconds",
            "From asking a model until its first word, of text or reasoning.",
            FIRST_TOKEN_BUCKETS,
        )
        self._gap = self._histogram(
            "time_between_tokens_seconds", "Between two pieces of an answer as they are read.", GAP_BUCKETS
        )
        self._calls = self._counter("model_calls", "Requests to models. An answer may take several.")
        self._errors = self._counter(
            "provider_errors", "Requests to models that failed.", kind=(*FAILURES, BROKEN)
        )
        self._characters = self._counter(
            "characters", "Characters sent to models, and received from them.", direction=("in", "out")
        )
        self._tokens = self._counter(
            "tokens",
            "Tokens sent to models and received from them, as reported; else the pieces received, counted.",
            direction=("in", "out"),
            source=("reported", "counted"),
        )
        self._answers = self._counter(
            "answers",
            "Answers that this process has ended.",
            status=[status for status in get_args(Status) if status != "generating"],
        )
        self._recoveries = self._counter(
            "recoveries", "Answers ended in the place of who should have.", reason=get_args(Recovery)
        )
        self._commits = self._counter(
            "commits", "Transactions that store running answers.", outcome=get_args(Outcome)
        )
        self._commit_seconds = self._histogram(
            "commit_seconds", "How long such a transaction took, waiting for locks included.", COMMIT_BUCKETS
        )
        streams = self._gauge("open_streams", "Readers that follow an answer here.", ("kind",))
        self._streams: dict[StreamKind, Gauge] = {kind: streams.labels(kind) for kind in get_args(StreamKind)}
        self._running = self._gauge("running_answers", "Answers that this process is writing.")

    def text(self) -> bytes:
        """All of it, in Prometheus's text format."""
        return generate_latest(self.registry)

    def listen(self, host: str, port: int) -> Callable[[], None]:
        """Serve it at an address of its own, from a thread of its own; what ends that."""
        try:
            server, thread = start_http_server(port, host, self.registry)
        except OSError as error:
            # A chat that nobody watches is better than none.
            _log.error("METRICS_PORT: cannot listen on %s, port %d: %s", host, port, error.strerror)
            return lambda: None

        def end() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return end

    def watch_running(self, count: Callable[[], int]) -> None:
        """Ask this, whenever somebody looks, how many answers are being written."""
        self._running.set_function(count)

    def asked(self, characters: int) -> None:
        """Count a request to a model."""
        self._calls.inc()
        self._characters.labels("in").inc(characters)

    def first_token(self, seconds: float) -> None:
        """Count its first token, so long after it was asked."""
        self._first.observe(seconds)

    def next_tokens(self, seconds: float, count: int) -> None:
        """Count others that came together, so long after those before."""
        for _ in range(count):
            self._gap.observe(seconds / count)

    def answered(self, characters: int, pieces: int, usage: Usage | None) -> None:
        """Count what a request to a model has brought."""
        self._characters.labels("out").inc(characters)
        if usage:
            self._tokens.labels("in", "reported").inc(usage.prompt_tokens)
            self._tokens.labels("out", "reported").inc(usage.completion_tokens)
        else:
            self._tokens.labels("out", "counted").inc(pieces)

    def failed(self, kind: str) -> None:
        """Count a request to a model that failed, by one of `FAILURES` or as `BROKEN`."""
        self._errors.labels(kind).inc()

    def ended(self, status: Status) -> None:
        """Count an answer that this process has ended."""
        self._answers.labels(status).inc()

    def recovered(self, reason: Recovery, status: Status, count: int = 1) -> None:
        """Count answers that this process has ended in the place of who should have."""
        self._recoveries.labels(reason).inc(count)
        self._answers.labels(status).inc(count)

    @contextmanager
    def commit(self) -> Iterator[None]:
        """Count and time the transaction of the writer that the block is."""
        began = perf_counter()
        outcome: Outcome = "failed"
        try:
            yield
            outcome = "stored"
            self._commit_seconds.observe(perf_counter() - began)
        except Unavailable:
            outcome = "refused"
            raise
        finally:
            self._commits.labels(outcome).inc()

    @contextmanager
    def stream(self, kind: StreamKind) -> Iterator[None]:
        """Count a reader while the block runs."""
        self._streams[kind].inc()
        try:
            yield
        finally:
            self._streams[kind].dec()

    def _counter(self, name: str, meaning: str, **labels: Iterable[str]) -> Counter:
        counter = Counter(name, meaning, list(labels), namespace=NAMESPACE, registry=self.registry)
        if labels:
            for values in product(*labels.values()):
                counter.labels(*values)  # there from the beginning, so that the first one shows as a rise
        return counter

    def _gauge(self, name: str, meaning: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(name, meaning, labels, namespace=NAMESPACE, registry=self.registry)

    def _histogram(self, name: str, meaning: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(name, meaning, namespace=NAMESPACE, registry=self.registry, buckets=buckets)
