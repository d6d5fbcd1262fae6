"""Storage that fails under a real server: a page says so, keeps what was typed, and goes on by itself."""

import re
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import expect

from e2e.chat import Chat
from e2e.conftest import Watch
from e2e.server import Server
from tests.postgres import Postgres
from tests.storage import locked
from tests.upstream import PAUSE, Upstream

REFUSED = ("503", "507", "htmx")
LONG = "All work and no play. " * 5000
ILLS = [(signal.SIGUSR1, "The disk is full"), (signal.SIGUSR2, "cannot be written to")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


@pytest.fixture
def server(tmp_path: Path, upstream: Upstream) -> Iterator[Server]:
    with Server(tmp_path, module="e2e.ailing", openai_base_url=upstream.url, model="scripted") as server:
        yield server


@pytest.fixture(params=[True, False], ids=["with scripts", "without"])
def either(request: pytest.FixtureRequest, new_context: Any, watch: Watch) -> Chat:
    """The chat page, in a browser with JavaScript and in one without."""
    watch.allow(*REFUSED)
    chat = Chat(new_context(java_script_enabled=request.param).new_page())
    chat.open()
    return chat


def of_file(path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute(query)]


def expect_refused(chat: Chat, sentence: str, text: str, path: Path) -> None:
    """The page says why, the text is still there, and nothing of it is stored."""
    expect(chat.notice).to_contain_text(sentence)
    expect(chat.composer).to_have_value(text)
    expect(chat.prompts).to_have_count(0)
    assert of_file(path, "select count(*) from messages") == [0]


def expect_sent(chat: Chat, text: str, path: Path) -> None:
    """The same form, sent again, sends it once."""
    chat.send_button.click()
    expect(chat.prompts).to_have_count(1)
    chat.expect_complete()
    assert of_file(path, "select text from messages where role = 'user'") == [text]


@pytest.mark.fault(35)
def test_a_prompt_while_another_process_holds_the_lock(either: Chat, path: Path) -> None:
    with locked(path):
        either.send("Do not lose me")
        expect_refused(either, "The database is busy", "Do not lose me", path)

    expect_sent(either, "Do not lose me", path)


@pytest.mark.fault(35)
def test_a_running_answer_goes_on_when_the_lock_is_released(
    chat: Chat, upstream: Upstream, path: Path, watch: Watch
) -> None:
    watch.allow(*REFUSED)
    upstream.will_say("One ", PAUSE, "two ", "three.")
    chat.send("Go")
    expect(chat.text).to_have_text("One")

    with locked(path):
        upstream.go_on()
        chat.write("A draft that cannot be kept now")
        expect(chat.notice).to_contain_text("The database is busy")
        expect(chat.text).to_have_text("One")

    expect(chat.text).to_have_text("One two three.")
    chat.expect_complete()
    expect(chat.composer).to_have_value("A draft that cannot be kept now")
    assert of_file(path, "select text from messages where role = 'assistant'") == ["One two three."]


@pytest.mark.fault(36)
@pytest.mark.parametrize(("ill", "sentence"), ILLS)
def test_a_prompt_that_cannot_be_stored(
    either: Chat, server: Server, path: Path, ill: signal.Signals, sentence: str
) -> None:
    server.signal(ill)
    either.send(LONG)
    expect_refused(either, sentence, LONG, path)

    server.signal(signal.SIGHUP)
    expect_sent(either, LONG, path)


@pytest.mark.fault(37)
def test_an_answer_that_no_longer_fits_is_interrupted(
    chat: Chat, upstream: Upstream, server: Server, path: Path, watch: Watch
) -> None:
    watch.allow(*REFUSED)
    upstream.will_say("Shown. ", PAUSE, LONG, PAUSE, "Never asked for.")
    chat.send("Go")
    expect(chat.text).to_have_text("Shown.")

    server.signal(signal.SIGUSR1)
    upstream.go_on()
    upstream.wait_closed()
    expect(chat.text).to_have_text("Shown.")
    assert of_file(path, "select text from chunks") == ["Shown. "]

    server.signal(signal.SIGHUP)
    chat.expect_complete()
    expect(chat.answer.locator(".ending")).to_contain_text("could not be stored any further")
    expect(chat.text).to_contain_text("Shown. All work")
    assert of_file(path, "select status from messages where role = 'assistant'") == ["interrupted"]
    assert of_file(path, "pragma integrity_check") == ["ok"]
    assert "Traceback" not in server.log


@pytest.mark.fault(38)
def test_a_file_that_is_deleted_while_the_server_runs(
    chat: Chat, server: Server, path: Path, watch: Watch
) -> None:
    watch.allow(*REFUSED)
    path.unlink()

    chat.send("Do not lose me")

    expect(chat.notice).to_contain_text("moved or deleted")
    expect(chat.composer).to_have_value("Do not lose me")
    assert httpx2.get(f"{server.url}/readyz", trust_env=False).status_code == 503
    assert httpx2.get(f"{server.url}/healthz", trust_env=False).status_code == 200
    assert not path.exists()


@pytest.mark.fault(38)
def test_a_log_without_its_file_is_not_begun_anew(server: Server, path: Path) -> None:
    httpx2.post(f"{server.url}/completion", data={"prompt": "In the log only"}, trust_env=False, timeout=10)
    server.kill()
    path.unlink()
    log = path.with_name("chat.db-wal")
    written = log.read_bytes()

    with pytest.raises(AssertionError, match=r"is gone, but chat\.db-wal") as refusal:
        server.start()

    assert len(str(refusal.value).splitlines()) == 1
    assert server.wait(5) == 2
    assert log.read_bytes() == written
    assert not path.exists()


class TestAServerThatIsGone:
    @pytest.fixture
    def away(self) -> Iterator[Postgres]:
        with Postgres(fsync=False) as postgres:
            yield postgres

    @pytest.fixture
    def server(self, tmp_path: Path, upstream: Upstream, away: Postgres) -> Iterator[Server]:
        url = away.new_database()
        server = Server(tmp_path, openai_base_url=upstream.url, model="scripted", database_url=url)
        server.run("migrate")
        with server:
            yield server

    @pytest.mark.fault(39)
    def test_without_scripts_the_text_is_sent_again_from_the_page_that_tells_of_it(
        self, plain: Chat, upstream: Upstream, away: Postgres, watch: Watch
    ) -> None:
        watch.allow(*REFUSED)
        upstream.will_say("First.")
        upstream.will_say("Second.")
        plain.send("One")
        plain.expect_complete()
        away.stop()

        plain.send("Do not\n<b>lose</b> me")

        expect(plain.page.locator(".problem")).to_contain_text("cannot be reached")
        expect(plain.composer).to_have_value("Do not\n<b>lose</b> me")
        again = plain.page.get_by_role("button", name="Send again")
        again.click()
        expect(plain.composer).to_have_value("Do not\n<b>lose</b> me")
        away.start()
        again.click()
        expect(plain.page).to_have_url(re.compile(r"/conversations/1/live$"))
        plain.expect_complete()
        expect(plain.prompts).to_have_text(["One", "Do not\n<b>lose</b> me"])
        expect(plain.text).to_have_text("Second.")
