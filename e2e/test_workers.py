"""Answers that are written by worker processes: web processes come and go, and no reader minds."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import Self

import httpx2
import pytest
from playwright.sync_api import expect

from e2e.chat import Chat
from e2e.conftest import Watch, new_store
from e2e.processes import Reading, ask, client, read, text_of, wait_ready
from e2e.server import Server
from tests.upstream import PAUSE, Upstream

DEAD_SECONDS = 5
GRACE_SECONDS = 30


class Roles:
    """A web process and a worker over one database; each is started by the test, or by `both`."""

    def __init__(self, folder: Path, database_url: str, upstream: Upstream) -> None:
        every = {"database_url": database_url, "openai_base_url": upstream.url, "model": "scripted"}
        every |= {"generate_in": "worker", "grace_seconds": str(GRACE_SECONDS)}
        self.web = Server(folder, **every)
        self.workers = [Server(folder, command="worker", **every) for _ in range(2)]
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        self._closing.enter_context(self.web)
        self.api = self._closing.enter_context(client(self.web))
        self.start(0)
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def start(self, number: int) -> Server:
        """Start a worker."""
        return self._closing.enter_context(self.workers[number])


@pytest.fixture(params=["postgresql"])
def roles(request: pytest.FixtureRequest, tmp_path: Path, upstream: Upstream) -> Iterator[Roles]:
    with Roles(tmp_path, new_store(request, tmp_path), upstream) as roles:
        yield roles
    for server in (roles.web, *roles.workers):
        assert "Traceback" not in server.log


BOTH = pytest.mark.parametrize("roles", ["postgresql", "sqlite"], indirect=True)


def expect_left(upstream: Upstream) -> None:
    upstream.wait_closed(1, 1.5)


@BOTH
def test_a_worker_writes_what_a_web_process_is_asked(roles: Roles, upstream: Upstream) -> None:
    upstream.will_say("One ", PAUSE, "two.")
    answer = ask(roles.api, "Go")
    answer.until("One ")
    upstream.go_on()

    assert (answer.end(), answer.text) == ("complete", "One two.")
    assert len(upstream.asked) == 1


@BOTH
@pytest.mark.fault(24)
def test_a_stop_reaches_the_worker(roles: Roles, upstream: Upstream) -> None:
    upstream.will_say("Half", PAUSE)
    answer = ask(roles.api, "Go")
    answer.until("Half")

    roles.api.post(f"{answer.path}/stop")

    expect_left(upstream)
    assert (answer.end(), text_of(roles.api, answer)) == ("stopped", "Half")


@pytest.mark.fault(26)
def test_a_deletion_reaches_the_worker(roles: Roles, upstream: Upstream) -> None:
    upstream.will_say("Half", PAUSE)
    answer = ask(roles.api, "Go")
    answer.until("Half")

    roles.api.post(f"/conversations/{answer.conversation}/delete")

    expect_left(upstream)
    assert answer.end() == "gone"


@pytest.mark.fault(29)
def test_an_answer_goes_on_when_the_web_process_is_killed_and_replaced(
    roles: Roles, upstream: Upstream
) -> None:
    upstream.will_say("One ", PAUSE, "two ", PAUSE, "three.")
    answer = ask(roles.api, "Go")
    answer.until("One ")

    roles.web.kill()
    upstream.go_on()
    roles.web.start()

    reader = read(roles.api, answer.path)
    reader.until("One two ")
    upstream.go_on()
    assert (reader.end(), reader.text) == ("complete", "One two three.")
    assert len(upstream.asked) == 1


@pytest.mark.fault(29)
def test_the_answers_of_a_killed_worker_end_with_their_text_and_another_goes_on(
    roles: Roles, upstream: Upstream
) -> None:
    upstream.will_say("Half", PAUSE)
    answer = ask(roles.api, "Go")
    answer.until("Half")

    roles.workers[0].kill()
    killed = monotonic()

    assert answer.end() == "interrupted"
    assert monotonic() - killed < DEAD_SECONDS
    upstream.will_say(", and the rest.")
    roles.api.post(f"/messages/{answer.message}/continue")
    roles.start(1)
    going_on = read(roles.api, answer.path)
    assert (going_on.end(), going_on.text) == ("complete", "Half, and the rest.")


@pytest.mark.fault(32)
def test_a_worker_that_is_told_to_end_ends_its_answers_and_leaves_new_ones_to_the_next(
    roles: Roles, upstream: Upstream
) -> None:
    upstream.will_say("One ", PAUSE, "two.")
    first = ask(roles.api, "Go")
    first.until("One ")
    roles.workers[0].signal(signal.SIGTERM)
    # What is asked before it has heard of its end it may still take up: so another's answer is waited for.
    roles.start(1)
    second = ask(roles.api, "And I?")
    assert second.end() == "complete"

    upstream.go_on()

    assert (first.end(), first.text) == ("complete", "One two.")
    assert roles.workers[0].wait(GRACE_SECONDS) == 0


def test_a_second_signal_does_not_wait(roles: Roles, upstream: Upstream) -> None:
    upstream.will_say("Half", PAUSE)
    answer = ask(roles.api, "Go")
    answer.until("Half")
    roles.workers[0].signal(signal.SIGTERM)

    assert roles.workers[0].end(signal.SIGINT, seconds=5) == 0

    assert (answer.end(), answer.text) == ("interrupted", "Half")


class TestWithoutAWorker:
    @pytest.fixture
    def asked(self, roles: Roles, upstream: Upstream) -> Reading:
        """An answer that nobody writes yet."""
        assert roles.workers[0].end(signal.SIGTERM, seconds=5) == 0
        return ask(roles.api, "Is anybody there?")

    def test_an_answer_waits_for_one(self, roles: Roles, asked: Reading) -> None:
        roles.start(1)

        assert (asked.end(), asked.text) == ("complete", "You said: Is anybody there?")

    @pytest.mark.fault(24)
    def test_an_answer_can_be_stopped_and_is_not_begun_later(
        self, roles: Roles, asked: Reading, upstream: Upstream
    ) -> None:
        roles.api.post(f"{asked.path}/stop")
        assert (asked.end(), asked.text) == ("stopped", "")

        roles.start(1)

        assert ask(roles.api, "Another").end() == "complete"
        assert len(upstream.asked) == 1


class TestInABrowser:
    @pytest.fixture
    def origin(self, roles: Roles) -> str:
        return roles.web.url

    @pytest.mark.fault(29)
    def test_a_page_goes_on_when_its_web_process_is_killed_and_replaced(
        self, chat: Chat, roles: Roles, upstream: Upstream, watch: Watch
    ) -> None:
        watch.allow("ERR_", "SSE", "network error", "Failed to fetch", "htmx")
        upstream.will_say("One ", PAUSE, "*two* ", PAUSE, "three.")
        expect(chat.page.locator("#model")).to_have_attribute("data-state", "ready")
        chat.send("Go")
        expect(chat.text).to_have_text("One")

        roles.web.kill()
        upstream.go_on()
        roles.web.start()
        with httpx2.Client(base_url=roles.web.url, trust_env=False) as api:
            wait_ready(api)

        expect(chat.text).to_have_text("One two")
        upstream.go_on()
        expect(chat.text).to_have_text("One two three.")
        chat.expect_complete()
        assert len(upstream.asked) == 1
