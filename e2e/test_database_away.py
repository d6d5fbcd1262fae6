"""PostgreSQL that is away, restarted, silent or not yet migrated: servers wait for it, and so do readers."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import asyncpg
import pytest
from playwright.sync_api import expect

from app import writer
from e2e.chat import Chat
from e2e.conftest import Watch
from e2e.processes import Pair, ask, client, read, rows, wait_ready
from e2e.server import Server
from tests.postgres import NoPostgres, Postgres
from tests.upstream import PAUSE, Upstream

LISTENING = "from pg_stat_activity where query like 'LISTEN %' and datname = current_database()"


@pytest.fixture
def mortal() -> Iterator[Postgres]:
    """A server of a test's own, since it is stopped."""
    try:
        server = Postgres(fsync=False)
    except NoPostgres:
        pytest.skip("there is no PostgreSQL for this machine")
    with server:
        yield server


@pytest.fixture
def pair(mortal: Postgres, tmp_path: Path, upstream: Upstream) -> Iterator[Pair]:
    pair = Pair(tmp_path, mortal.new_database(), upstream)
    assert pair.a.run("migrate").returncode == 0
    with pair:
        yield pair
        for server in pair.servers:
            server.stop()
            assert "Traceback" not in server.log


@contextmanager
def no_notifications(pair: Pair) -> Iterator[None]:
    """End every connection that listens, again and again."""
    over = threading.Event()

    def end_them() -> None:
        while not over.is_set():
            with suppress(asyncpg.PostgresError):
                pair.rows(f"select pg_terminate_backend(pid) {LISTENING}")

    ending = threading.Thread(target=end_them)
    ending.start()
    try:
        yield
    finally:
        over.set()
        ending.join(5)


@pytest.mark.fault(41)
def test_without_notifications_readers_get_everything_within_a_second_or_so(pair: Pair) -> None:
    words = [f"word {number} " for number in range(4)]
    pair.upstream.will_say(*(part for word in words for part in (PAUSE, word)))
    with no_notifications(pair):
        answer = ask(pair.at_a, "Go")
        reader = read(pair.at_b, answer.path)
        text = ""
        for word in words:
            text += word
            pair.upstream.go_on()
            answer.until(text)
            assert reader.until(text) < 1.5
        assert (answer.end(), reader.end()) == ("complete", "complete")

    while pair.rows(f"select count(*) {LISTENING}") != [(2,)]:
        continue


@pytest.mark.fault(41)
def test_without_notifications_a_stop_at_the_other_ends_an_answer_all_the_same(pair: Pair) -> None:
    pair.upstream.will_say("Words", PAUSE)
    with no_notifications(pair):
        answer = ask(pair.at_a, "Go")
        answer.until("Words")

        pair.at_b.post(f"{answer.path}/stop")

        pair.expect_left(1.5)
        assert answer.end() == "stopped"


@pytest.mark.fault(39)
def test_an_answer_goes_on_after_the_database_was_restarted(pair: Pair, mortal: Postgres) -> None:
    pair.upstream.will_say("One ", PAUSE, "two ", PAUSE, "three.")
    answer = ask(pair.at_a, "Go")
    answer.until("One ")
    reader = read(pair.at_b, answer.path)
    reader.until("One ")

    mortal.stop()
    pair.upstream.go_on()
    for api in (pair.at_a, pair.at_b):
        assert "cannot be reached" in wait_ready(api, ready=False)
        refused = api.post("/completion", data={"prompt": "Not now"})
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        assert api.get("/healthz").status_code == 200
    mortal.start()

    for api in (pair.at_a, pair.at_b):
        wait_ready(api)
    answer.until("One two ")
    reader.until("One two ")
    pair.upstream.go_on()
    assert (answer.end(), reader.end()) == ("complete", "complete")
    assert reader.text == "One two three."
    assert pair.rows("select text from messages order by id") == [("Go",), ("One two three.",)]


@pytest.mark.fault(39)
def test_an_answer_is_interrupted_where_too_much_of_it_cannot_be_stored(pair: Pair, mortal: Postgres) -> None:
    pair.upstream.will_say("Words that were shown", PAUSE, "x" * (writer.LARGEST_BACKLOG + 1), PAUSE)
    answer = ask(pair.at_a, "Go")
    answer.until("Words that were shown")

    mortal.stop()
    pair.upstream.go_on()
    pair.expect_left(5)
    mortal.start()

    reader = read(pair.at_b, answer.path)
    assert (reader.end(), answer.end()) == ("interrupted", "interrupted")
    assert reader.text.startswith("Words that were shown")
    assert "could not be stored" in reader.error


class TestInABrowser:
    @pytest.fixture
    def origin(self, pair: Pair) -> str:
        return pair.b.url

    @pytest.mark.fault(39)
    def test_a_page_waits_with_its_text_until_the_database_is_back(
        self, chat: Chat, pair: Pair, mortal: Postgres, watch: Watch
    ) -> None:
        watch.allow("503", "ERR_", "htmx", "SSE")
        pair.upstream.will_say("One ", PAUSE, "two.")
        chat.send("Go")
        expect(chat.text).to_have_text("One")
        other = Chat(chat.page.context.new_page())
        other.open()

        mortal.stop()
        other.send("Do not lose me")
        expect(other.notice).to_contain_text("cannot be reached")
        expect(other.composer).to_have_value("Do not lose me")
        pair.upstream.go_on()
        mortal.start()
        wait_ready(pair.at_b)

        expect(chat.text).to_have_text("One two.")
        chat.expect_complete()
        other.send_button.click()
        expect(other.prompts).to_have_text("Do not lose me")
        other.expect_complete()


@pytest.fixture
def server(mortal: Postgres, tmp_path: Path, upstream: Upstream) -> Server:
    """Over a database without tables; not started yet."""
    settings = {"openai_base_url": upstream.url, "model": "scripted"}
    return Server(tmp_path, database_url=mortal.new_database(), **settings)


@pytest.mark.fault(39)
def test_a_server_that_starts_before_its_database_waits_for_it_and_for_its_tables(
    server: Server, mortal: Postgres
) -> None:
    mortal.stop()
    with server, client(server) as api:
        assert "cannot be reached" in wait_ready(api, ready=False)
        assert (
            "the database is waited for. The database cannot be reached. Please try again in a moment. ("
            f"{mortal.folder}:5432: " in server.said_first
        )
        assert api.get("/").status_code == 503
        mortal.start()
        while "python -m app migrate" not in wait_ready(api, ready=False):
            continue
        while "python -m app migrate" not in server.log:
            continue
        assert api.get("/").status_code == 503
        assert server.run("migrate").returncode == 0

        wait_ready(api)
        answer = ask(api, "Hi")
        assert (answer.end(), answer.text) == ("complete", "You said: Hi")
    assert "Traceback" not in server.log
    assert server.log.count("python -m app migrate") <= 2  # by who looks after answers, and for the page


@pytest.mark.fault(40)
@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_database_without_tables_or_of_a_newer_program_is_refused_in_one_line(
    server: Server, command: str
) -> None:
    def refused() -> str:
        ended = server.run(command)
        assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (2, "", 1)
        return ended.stderr

    assert "no tables yet" in refused()
    assert server.run("migrate").returncode == 0
    rows(server.database_url, "update alembic_version set version_num = '9999'")
    assert "newer version of this program" in refused()
    newer = server.run("migrate")
    assert (newer.returncode, len(newer.stderr.splitlines())) == (2, 1)


@pytest.mark.fault(40)
def test_two_migrations_at_once_are_one(server: Server) -> None:
    done = []
    both = [threading.Thread(target=lambda: done.append(server.run("migrate").returncode)) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(20)

    assert done == [0, 0]
    assert rows(server.database_url, "select count(*) from users") == [(1,)]
