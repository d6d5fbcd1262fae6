"""Metrics: every number there is after what it counts, and nothing in them that anyone wrote."""

import asyncio
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from socket import socket
from time import perf_counter

import httpx2
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from app import conversations, tracing
from app.calls import observed
from app.db import Database
from app.generation import Generations
from app.leases import LOOKS, UNCLAIMED_LOOKS, Lookout
from app.main import create_app
from app.prometheus import Prometheus
from app.providers import ChatMessage, Delta, ProviderError, Usage
from app.providers.scripted import PAUSE, ScriptedProvider
from app.refusals import Unavailable
from app.settings import Settings
from app.wakeups import WakeUps
from e2e.server import Server
from tests.conftest import serving
from tests.test_generation import USER, Bench
from tests.upstream import Upstream

DOCUMENTED = Path(__file__).parent.parent / "docs" / "observability.md"

MESSAGES: list[ChatMessage] = [{"role": "user", "content": "twelve signs"}]


@pytest.fixture
def settings(store: str) -> Settings:
    return Settings(database_url=store, metrics=True)


async def numbers(client: httpx2.AsyncClient) -> dict[str, float]:
    """What `/metrics` says: `name{label="value"}`, without the prefix, to its value."""
    response = await client.get("/metrics")
    assert response.status_code == 200
    return parsed(response.text)


def parsed(text: str) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sample.labels.items())
            name = sample.name.removeprefix("fastapi_llm_")
            found[f"{name}{{{labels}}}" if labels else name] = sample.value
    return found


async def test_without_the_setting_there_is_no_such_page(store: str) -> None:
    app = create_app(Settings(database_url=store), provider=ScriptedProvider())
    async with serving(app) as url, httpx2.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"{url}/metrics")).status_code == 404


async def test_an_answer_is_counted_in_all_its_parts(
    client: httpx2.AsyncClient, provider: ScriptedProvider, settings: Settings
) -> None:
    provider.will_say(Delta(reasoning="Well"), "One ", "two.", Delta(finish="stop", usage=Usage(7, 3)))
    before = await numbers(client)

    await client.post("/completion", data={"prompt": "Hi"})

    after = await numbers(client)
    risen = {name: after[name] - before[name] for name in after if "_created" not in name}
    asked = len(settings.system_prompt) + len("Hi")
    assert risen["model_calls_total"] == 1
    assert risen["time_to_first_token_seconds_count"] == 1
    assert risen["time_between_tokens_seconds_count"] == 2
    assert risen["characters_total{direction=in}"] == asked
    assert risen["characters_total{direction=out}"] == len("WellOne two.")
    assert risen["tokens_total{direction=in,source=reported}"] == 7
    assert risen["tokens_total{direction=out,source=reported}"] == 3
    assert risen["tokens_total{direction=out,source=counted}"] == 0
    assert risen["answers_total{status=complete}"] == 1
    assert risen["commits_total{outcome=stored}"] == risen["commit_seconds_count"] >= 1
    assert after["running_answers"] == after["open_streams{kind=text}"] == 0


async def test_where_no_usage_is_reported_the_pieces_are_counted() -> None:
    metrics = Prometheus()

    async def silent(_: list[ChatMessage]) -> AsyncGenerator[Delta, None]:
        for text in ("a", "b", "c"):
            yield Delta(text=text)

    assert [
        delta.text
        async for delta in observed(silent, metrics, tracing.tracer(), ScriptedProvider())(MESSAGES)
    ] == ["a", "b", "c"]
    told = parsed(metrics.text().decode())
    assert told["tokens_total{direction=out,source=counted}"] == 3
    assert told["characters_total{direction=in}"] == 12


async def test_what_runs_and_who_reads_is_counted_while_it_does(
    client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.will_say("One ", PAUSE, "two.")

    async with client.stream("POST", "/completion", data={"prompt": "Hi"}) as answer:
        address, conversation = answer.headers["content-location"], answer.headers["x-conversation-id"]
        async with (
            client.stream("GET", f"{address}/fragments") as fragments,
            client.stream("GET", f"/conversations/{conversation}/live") as page,
        ):
            readers = [reader.aiter_text() for reader in (answer, fragments, page)]
            for reader in readers:
                while "One" not in await anext(reader):
                    pass
            during = await numbers(client)
            provider.go_on()
            for reader in readers:
                async for _ in reader:
                    pass
            after = await numbers(client)

    assert during["running_answers"] == 1
    assert after["running_answers"] == 0
    for kind in ("text", "fragments", "page"):
        assert (during[f"open_streams{{kind={kind}}}"], after[f"open_streams{{kind={kind}}}"]) == (1, 0)


async def test_failures_are_counted_by_kind_and_a_kind_that_is_not_known_as_broken(
    client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    known = set(await numbers(client))
    provider.will_say(ProviderError("It is away.", "unreachable"))
    provider.will_say(ProviderError("No.", "sk-secret"))  # type: ignore[arg-type] # one's own may say anything

    await client.post("/completion", data={"prompt": "Hi"})
    await client.post("/completion", data={"prompt": "Hi"})

    after = await numbers(client)
    assert after["provider_errors_total{kind=unreachable}"] == 1
    assert after["provider_errors_total{kind=broken}"] == 1
    assert after["answers_total{status=failed}"] == 2
    assert set(after) == known  # no label has a value that it did not have from the beginning


async def test_a_stop_is_counted_once_whoever_writes_the_answer(
    client: httpx2.AsyncClient, app: FastAPI, provider: ScriptedProvider
) -> None:
    provider.will_say("One ", PAUSE)
    async with client.stream("POST", "/completion", data={"prompt": "Hi"}) as answer:
        await anext(aiter(answer.aiter_text()))
        address = answer.headers["content-location"]
        await client.post(f"{address}/stop")
        await client.post(f"{address}/stop")

    assert (await numbers(client))["answers_total{status=stopped}"] == 1


async def test_an_answer_that_another_process_writes_is_counted_by_who_stops_it(database: Database) -> None:
    writing, bystander = Bench(database, ScriptedProvider(["One", PAUSE]).stream), Prometheus()
    other = Generations(
        database, WakeUps(), None, writing.generations._prompting, answer_limit=9, metrics=bystander
    )
    answer = await writing.ask()

    await other.stop(answer)
    await other.stop(answer)

    assert parsed(bystander.text().decode())["answers_total{status=stopped}"] == 1


async def test_answers_of_a_dead_process_are_counted_as_recovered(database: Database) -> None:
    dead, metrics = Bench(database, ScriptedProvider(["One", PAUSE]).stream), Prometheus()
    await dead.ask()
    await dead.ask()
    lookout = Lookout(database, "who looks", metrics)
    for _ in range(LOOKS + 1):
        await lookout.look([])

    told = parsed(metrics.text().decode())
    assert told["recoveries_total{reason=dead}"] == 2
    assert told["answers_total{status=interrupted}"] == 2


@pytest.mark.parametrize(
    ("worker", "looks", "reason", "status"),
    [("who looks", LOOKS, "forgotten", "interrupted"), (None, UNCLAIMED_LOOKS, "unclaimed", "failed")],
)
async def test_answers_that_nobody_writes_are_counted_as_recovered(
    database: Database, worker: str | None, looks: int, reason: str, status: str
) -> None:
    metrics = Prometheus()
    async with database.writing() as session:
        await conversations.add_turn(session, USER, prompt="Hi", model="m", worker=worker)
    lookout = Lookout(database, "who looks", metrics)
    for _ in range(looks + 2):
        await lookout.look([])

    told = parsed(metrics.text().decode())
    assert told[f"recoveries_total{{reason={reason}}}"] == told[f"answers_total{{status={status}}}"] == 1


async def test_a_gap_is_the_time_since_the_piece_before() -> None:
    metrics, seconds = Prometheus(), 0.02

    async def steady(_: list[ChatMessage]) -> AsyncGenerator[Delta, None]:
        for text in ("", "a", "b", "c", "d"):
            await asyncio.sleep(seconds)
            yield Delta(text=text)

    began = perf_counter()
    async for _ in observed(steady, metrics, tracing.tracer(), ScriptedProvider())(MESSAGES):
        pass
    took = perf_counter() - began

    told = parsed(metrics.text().decode())
    first, gaps = told["time_to_first_token_seconds_sum"], told["time_between_tokens_seconds_sum"]
    assert first >= 2 * seconds * 0.9
    assert took * 0.9 <= first + gaps <= took


async def test_pieces_that_come_together_are_counted_one_by_one() -> None:
    metrics = Prometheus()

    async def in_threes(_: list[ChatMessage]) -> AsyncGenerator[Delta, None]:
        yield Delta("abc", pieces=3)
        yield Delta("def", pieces=3)

    async for _ in observed(in_threes, metrics, tracing.tracer(), ScriptedProvider())(MESSAGES):
        pass

    told = parsed(metrics.text().decode())
    assert told["tokens_total{direction=out,source=counted}"] == 6
    assert told["time_to_first_token_seconds_count"] == 1
    assert told["time_between_tokens_seconds_count"] == 5


def test_a_commit_that_is_refused_is_counted_as_that_and_its_time_is_not() -> None:
    metrics = Prometheus()

    with pytest.raises(Unavailable), metrics.commit():
        raise Unavailable("The disk is full.", full=True)
    with pytest.raises(ValueError, match="ours"), metrics.commit():
        raise ValueError("a fault of ours")

    told = parsed(metrics.text().decode())
    assert told["commits_total{outcome=refused}"] == told["commits_total{outcome=failed}"] == 1
    assert told["commit_seconds_count"] == 0


async def test_applications_in_one_process_count_for_themselves(
    client: httpx2.AsyncClient, tmp_path: Path
) -> None:
    other = create_app(
        Settings(database_url=f"sqlite:///{tmp_path}/other.db", metrics=True), provider=ScriptedProvider()
    )
    async with serving(other) as url, httpx2.AsyncClient(base_url=url, trust_env=False) as others:
        await others.post("/completion", data={"prompt": "Hi"})

        assert (await numbers(others))["model_calls_total"] == 1
        assert (await numbers(client))["model_calls_total"] == 0


async def test_prometheus_may_call_a_process_by_any_name(client: httpx2.AsyncClient) -> None:
    response = await client.get("/metrics", headers={"Host": "web1:9100"})

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")


async def test_a_port_of_its_own_serves_the_same(store: str) -> None:
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    app = create_app(Settings(database_url=store, metrics_port=port), provider=ScriptedProvider())

    async with httpx2.AsyncClient(trust_env=False) as client:
        async with serving(app) as url:
            await client.post(f"{url}/completion", data={"prompt": "Hi"})
            apart = await client.get(f"http://127.0.0.1:{port}/metrics")

            assert parsed(apart.text)["model_calls_total"] == 1
            assert (await client.get(f"{url}/metrics")).status_code == 404
        with pytest.raises(httpx2.ConnectError):
            await client.get(f"http://127.0.0.1:{port}/metrics")  # it ends with the application


async def test_where_that_port_is_taken_the_chat_runs_all_the_same(
    store: str, caplog: pytest.LogCaptureFixture
) -> None:
    with socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        app = create_app(Settings(database_url=store, metrics_port=port), provider=ScriptedProvider())
        async with serving(app) as url, httpx2.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"{url}/readyz")).status_code == 200

    assert f"METRICS_PORT: cannot listen on 127.0.0.1, port {port}" in caplog.text


def test_the_port_of_the_pages_is_theirs_where_the_metrics_are_to_have_the_same(tmp_path: Path) -> None:
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = f"{free.getsockname()[1]}"
    with (
        Server(tmp_path, port=port, metrics_port=port) as server,
        httpx2.Client(trust_env=False) as client,
    ):
        assert client.get(f"{server.url}/healthz").text.strip() == "ok"

    assert f"METRICS_PORT: cannot listen on 127.0.0.1, port {port}" in server.said_first


def test_the_documented_metrics_are_the_metrics() -> None:
    documented = {}
    for name, kind, labels in re.findall(
        r"^\| `(fastapi_llm_\w+)` \| (\w+) \| (.*?) ?\|", DOCUMENTED.read_text(), re.MULTILINE
    ):
        values = (re.findall(r"`(\w+)`", part) for part in labels.split(";") if part.strip())
        documented[name] = (kind, {name: set(rest) for name, *rest in values})
    exported: dict[str, tuple[str, dict[str, set[str]]]] = {}
    for family in Prometheus().registry.collect():
        if family.name.startswith("process_"):
            continue
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = exported.setdefault(name, (family.type, {}))[1]
        for sample in family.samples:
            for label, value in sample.labels.items():
                if label != "le":
                    labels.setdefault(label, set()).add(value)

    assert documented == exported


def test_a_worker_which_has_no_pages_tells_of_itself_at_its_port(tmp_path: Path) -> None:
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with Upstream() as upstream:
        settings = {"openai_base_url": upstream.url, "model": "m", "generate_in": "worker"}
        with (
            Server(tmp_path, metrics="true", **settings) as web,
            Server(tmp_path, command="worker", metrics_port=f"{port}", **settings),
            httpx2.Client(trust_env=False, timeout=20) as client,
        ):
            client.post(f"{web.url}/completion", data={"prompt": "Hi"})
            of_web, of_worker = (
                parsed(client.get(f"{url}/metrics").text) for url in (web.url, f"http://127.0.0.1:{port}")
            )

    assert (of_worker["model_calls_total"], of_worker["answers_total{status=complete}"]) == (1, 1)
    assert (of_web["model_calls_total"], of_web["answers_total{status=complete}"]) == (0, 0)
