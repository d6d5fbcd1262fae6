"""Two processes over one database: whichever a reader or a click reaches, it is one chat."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from time import monotonic

import httpx2
import pytest

from e2e.server import ROOT, Server
from tests.postgres import Postgres
from tests.upstream import PAUSE, Upstream

NOTICED_SECONDS = 5.0
"""Within this a dead process's answers are interrupted, as is promised."""
BUSY_MACHINE = 2.0
"""What a machine that runs other tests meanwhile may add."""


class Lines:
    """A stream of events, read line by line while something else is done."""

    def __init__(self, client: httpx2.Client, method: str, address: str, **form: str) -> None:
        request = client.build_request(method, address, data=form or None)
        self.response = client.send(request, stream=True)
        self._lines = self.response.iter_lines()
        self.said = ""

    def until(self, words: str) -> str:
        """Read on until these words have come; all that has come."""
        while words not in self.said:
            self.said += next(self._lines) + "\n"
        return self.said

    def rest(self) -> str:
        """Read to the end."""
        self.said += "".join(f"{line}\n" for line in self._lines)
        return self.said

    @property
    def text(self) -> str:
        """The answer's text, as it has come; without the events that are not text."""
        return text_of(self.said)


def text_of(said: str) -> str:
    """The text in a stream of events, without the events that are not text."""
    events = [event for event in said.split("\n\n") if "event:" not in event]
    return "".join(
        "\n".join(line[6:] for line in event.split("\n") if line.startswith("data: ")) for event in events
    )


@pytest.fixture(params=["postgresql", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database that has its tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/chat.db"
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.new_database(request.getfixturevalue("migrated"))


def started(folder: Path, url: str, upstream: Upstream, **settings: str) -> Server:
    folder.mkdir(exist_ok=True)
    return Server(folder, database_url=url, openai_base_url=upstream.url, model="scripted", **settings)


@pytest.fixture
def first(tmp_path: Path, url: str, upstream: Upstream) -> Iterator[Server]:
    with started(tmp_path / "first", url, upstream) as server:
        yield server


@pytest.fixture
def second(tmp_path: Path, url: str, upstream: Upstream, first: Server) -> Iterator[Server]:
    with started(tmp_path / "second", url, upstream) as server:
        yield server


def client_of(server: Server) -> httpx2.Client:
    return httpx2.Client(base_url=server.url, trust_env=False, timeout=15)


@pytest.fixture
def a(first: Server) -> Iterator[httpx2.Client]:
    with client_of(first) as client:
        yield client


@pytest.fixture
def b(second: Server) -> Iterator[httpx2.Client]:
    with client_of(second) as client:
        yield client


def at_once(*calls: Callable[[], httpx2.Response]) -> list[httpx2.Response]:
    """Answers to requests that are sent in the same moment."""
    together = threading.Barrier(len(calls))

    def call(one: Callable[[], httpx2.Response]) -> httpx2.Response:
        together.wait(5)
        return one()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(call, calls))


@pytest.mark.fault(20)
def test_a_reader_at_the_one_sees_what_the_other_writes(
    a: httpx2.Client, b: httpx2.Client, upstream: Upstream
) -> None:
    upstream.will_say("One ", PAUSE, "two ", PAUSE, "three.")
    there = Lines(a, "POST", "/completion", prompt="Go")
    there.until("One")
    here = Lines(b, "GET", "/completion/2")

    here.until("One")
    upstream.go_on()
    here.until("two")
    upstream.go_on()

    assert here.rest().endswith("event: done\ndata: complete\n\n")
    assert here.text == "One two three."
    there.rest()
    assert there.text == here.text
    assert len(upstream.asked) == 1


@pytest.mark.fault(24)
@pytest.mark.parametrize("said", ["Kept ", ""], ids=["within its text", "before its first word"])
def test_stop_at_the_one_ends_what_the_other_writes(
    a: httpx2.Client, b: httpx2.Client, upstream: Upstream, said: str
) -> None:
    upstream.will_say(*filter(None, [said]), PAUSE, "lost")
    there = Lines(a, "POST", "/completion", prompt="Go")
    upstream.wait_asked()
    if said:
        there.until(said.strip())

    assert b.post("/completion/2/stop").status_code == 303
    assert b.post("/completion/2/stop").status_code == 303
    upstream.wait_closed()
    upstream.go_on()

    assert there.rest().endswith("event: done\ndata: stopped\n\n")
    for client in (a, b):
        assert client.get("/messages/2/text").text == said
    assert a.post("/completion/2/stop").status_code == 303
    assert len(upstream.asked) == 1


@pytest.mark.fault(22)
def test_one_form_sent_to_both_at_once_is_one_prompt(
    a: httpx2.Client, b: httpx2.Client, upstream: Upstream
) -> None:
    for number in range(5):
        form = {"prompt": f"Hello {number}", "form_token": f"token {number}"}

        answers = at_once(*(partial(client.post, "/completion", data=form) for client in (a, b, a, b)))

        assert len({answer.headers["content-location"] for answer in answers}) == 1
        assert {text_of(answer.text) for answer in answers} == {f"You said: Hello {number}"}
        assert len(upstream.asked) == number + 1


@pytest.mark.fault(23)
def test_the_same_form_with_another_text_is_refused_by_the_other(
    a: httpx2.Client, b: httpx2.Client, upstream: Upstream
) -> None:
    a.post("/completion", data={"prompt": "One", "form_token": "t"})

    form = {"prompt": "Two", "form_token": "t"}
    refused = b.post("/completion", data=form, headers={"Accept": "text/html"})

    assert refused.status_code == 409
    assert ">\nTwo</textarea>" in refused.text
    assert len(upstream.asked) == 1


@pytest.mark.fault(21)
def test_of_two_prompts_in_one_conversation_at_once_one_is_taken(
    a: httpx2.Client, b: httpx2.Client, upstream: Upstream
) -> None:
    a.post("/completion", data={"prompt": "Begin"})
    upstream.will_say("Taken", PAUSE)
    page = {"Accept": "text/html"}

    answers = at_once(
        lambda: a.post("/completion", data={"prompt": "From A", "conversation": "1"}, headers=page),
        lambda: b.post("/completion", data={"prompt": "From B", "conversation": "1"}, headers=page),
    )

    assert sorted(answer.status_code for answer in answers) == [303, 409]
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert re.search(r">\nFrom [AB]</textarea>", refused.text)
    upstream.wait_asked(2)
    assert len(upstream.asked) == 2


@pytest.mark.fault(26)
def test_deleting_at_the_one_ends_what_the_other_writes(
    a: httpx2.Client, b: httpx2.Client, upstream: Upstream
) -> None:
    upstream.will_say("Half", PAUSE, " more")
    there = Lines(a, "POST", "/completion", prompt="Go")
    there.until("Half")

    b.post("/conversations/1/delete")
    upstream.wait_closed()
    upstream.go_on()

    assert there.rest().endswith("event: done\ndata: gone\n\n")
    assert a.get("/conversations/1").status_code == 404


@pytest.mark.fault(29)
def test_a_killed_processs_answer_is_interrupted_and_can_be_gone_on_with(
    a: httpx2.Client, b: httpx2.Client, first: Server, upstream: Upstream
) -> None:
    upstream.will_say("Half an ", PAUSE)
    Lines(a, "POST", "/completion", prompt="Go").until("Half an")
    here = Lines(b, "GET", "/completion/2")
    here.until("Half an")

    first.kill()
    killed = monotonic()
    said = here.rest()

    assert said.endswith("event: done\ndata: interrupted\n\n")
    assert here.text == "Half an "
    assert monotonic() - killed < NOTICED_SECONDS + BUSY_MACHINE
    upstream.will_say("answer.")
    assert b.post("/messages/2/continue").status_code == 303
    assert "complete" in b.get("/completion/2").text
    assert b.get("/messages/2/text").text == "Half an answer."
    first.start()


@pytest.mark.fault(34)
def test_a_process_that_was_frozen_can_write_no_more(
    a: httpx2.Client, b: httpx2.Client, first: Server, upstream: Upstream
) -> None:
    upstream.will_say("Half an ", PAUSE, "old end.")
    there = Lines(a, "POST", "/completion", prompt="Go")
    there.until("Half an")
    first.signal(signal.SIGSTOP)
    assert "interrupted" in b.get("/completion/2").text
    upstream.will_say("answer", PAUSE, ".")
    b.post("/messages/2/continue")
    here = Lines(b, "GET", "/completion/2")
    here.until("answer")

    upstream.go_on()
    first.signal(signal.SIGCONT)
    there.until("answer")
    upstream.go_on()

    assert here.rest().endswith("data: complete\n\n")
    assert here.text == "Half an answer."
    assert there.rest().endswith("data: complete\n\n")
    assert there.text == "Half an answer."
    assert a.get("/messages/2/text").text == "Half an answer."


class TestPostgreSQL:
    """What only a database server can do."""

    @pytest.fixture
    def url(self, own: Postgres, migrated_own: str) -> str:
        return migrated_own

    @pytest.fixture
    def own(self) -> Iterator[Postgres]:
        """A server that may be restarted."""
        with Postgres(fsync=False) as postgres:
            yield postgres

    @pytest.fixture
    def migrated_own(self, own: Postgres, tmp_path: Path) -> str:
        url = own.new_database()
        done = run_command("migrate", tmp_path, url)
        assert (done.returncode, done.stderr) == (0, "")
        assert "up to date" in done.stdout
        return url

    @pytest.mark.fault(41)
    def test_nothing_is_lost_when_notifications_are(
        self, a: httpx2.Client, b: httpx2.Client, own: Postgres, url: str, upstream: Upstream
    ) -> None:
        upstream.will_say("One ", PAUSE, "two.")
        Lines(a, "POST", "/completion", prompt="Go").until("One")
        here = Lines(b, "GET", "/completion/2")
        here.until("One")

        ended = own.query(
            url, "select count(pg_terminate_backend(pid)) from pg_stat_activity where query like 'LISTEN%'"
        )
        upstream.go_on()

        assert int(ended) == 2
        assert here.rest().endswith("data: complete\n\n")
        assert here.text == "One two."

    @pytest.mark.fault(39)
    def test_a_restart_of_the_database_is_got_over(
        self, a: httpx2.Client, b: httpx2.Client, first: Server, own: Postgres, upstream: Upstream
    ) -> None:
        upstream.will_say("One ", PAUSE, "two ", PAUSE, "three.")
        there = Lines(a, "POST", "/completion", prompt="Go")
        there.until("One")
        here = Lines(b, "GET", "/completion/2")
        here.until("One")

        own.stop()
        upstream.go_on()
        refused = a.post("/completion", data={"prompt": "Now?"})
        unready = b.get("/readyz")
        own.start()
        there.until("two")
        upstream.go_on()

        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert unready.status_code == 503
        for reader in (there, here):
            assert reader.rest().endswith("data: complete\n\n")
            assert reader.text == "One two three."
        assert b.get("/readyz").status_code == 200
        first.end(signal.SIGINT, seconds=10)
        assert "Traceback" not in first.log
        first.start()

    @pytest.mark.fault(39)
    def test_a_server_waits_for_a_database_that_is_away(
        self, own: Postgres, url: str, tmp_path: Path, upstream: Upstream
    ) -> None:
        own.stop()
        with started(tmp_path / "early", url, upstream) as server, client_of(server) as client:
            assert client.get("/readyz").status_code == 503
            assert client.get("/healthz").status_code == 200
            assert client.get("/", headers={"Accept": "text/html"}).status_code == 503
            own.start()

            assert client.get("/readyz").text == "ok\n"
            assert "You said: Hi" in client.post("/completion", data={"prompt": "Hi"}).text

    @pytest.mark.fault(40)
    def test_a_database_without_tables_is_refused_in_one_line(self, own: Postgres, tmp_path: Path) -> None:
        done = run_command("serve", tmp_path, own.new_database())

        assert done.returncode == 2
        assert "Run `python -m app migrate`" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


class TestWorkers:
    """Answers that are written apart from the web processes."""

    @pytest.fixture
    def web(self, tmp_path: Path, url: str, upstream: Upstream) -> Iterator[Server]:
        with started(tmp_path / "web", url, upstream, generate_in="worker") as server:
            yield server

    @pytest.fixture
    def worker(self, tmp_path: Path, url: str, upstream: Upstream, web: Server) -> Iterator[Server]:
        folder = tmp_path / "worker"
        folder.mkdir()
        with Server(
            folder, command="worker", database_url=url, openai_base_url=upstream.url, model="scripted"
        ) as server:
            yield server

    def test_a_web_process_can_be_replaced_while_an_answer_is_written(
        self, web: Server, worker: Server, upstream: Upstream
    ) -> None:
        upstream.will_say("One ", PAUSE, "two.")
        with client_of(web) as client:
            Lines(client, "POST", "/completion", prompt="Go").until("One")
            web.kill()
            web.start()
        upstream.go_on()

        with client_of(web) as client:
            there = Lines(client, "GET", "/completion/2")
            assert there.rest().endswith("data: complete\n\n")
        assert there.text == "One two."
        assert len(upstream.asked) == 1

    def test_a_killed_workers_answer_is_interrupted(
        self, web: Server, worker: Server, upstream: Upstream
    ) -> None:
        upstream.will_say("One ", PAUSE)
        with client_of(web) as client:
            there = Lines(client, "POST", "/completion", prompt="Go")
            there.until("One")
            worker.kill()
            killed = monotonic()

            assert there.rest().endswith("data: interrupted\n\n")
            assert monotonic() - killed < NOTICED_SECONDS + BUSY_MACHINE
            worker.start()
            upstream.will_say("two.")
            client.post("/messages/2/continue")
            assert "complete" in client.get("/completion/2").text
            assert client.get("/messages/2/text").text == "One two."

    def test_a_worker_that_is_told_to_end_comes_to_the_end_of_its_answers(
        self, web: Server, worker: Server, upstream: Upstream
    ) -> None:
        upstream.will_say("One ", PAUSE, "two.")
        with client_of(web) as client:
            there = Lines(client, "POST", "/completion", prompt="Go")
            there.until("One")
            worker.signal(signal.SIGTERM)
            upstream.go_on()

            assert there.rest().endswith("data: complete\n\n")
        assert worker.wait(10) == 0
        assert "Traceback" not in worker.log
        worker.start()

    def test_stop_reaches_the_worker(self, web: Server, worker: Server, upstream: Upstream) -> None:
        upstream.will_say("One ", PAUSE)
        with client_of(web) as client:
            there = Lines(client, "POST", "/completion", prompt="Go")
            there.until("One")

            client.post("/completion/2/stop")

            upstream.wait_closed()
            assert there.rest().endswith("data: stopped\n\n")


def run_command(command: str, folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the application to its end."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "DATABASE_URL": url, "PORT": "0"}
    return subprocess.run(
        [sys.executable, "-m", "app", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
