"""Two processes over one database: whichever is asked, a conversation is the same, and nothing is doubled."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, TypeVar

import httpx2
import pytest
from playwright.sync_api import expect

from e2e.chat import Chat
from e2e.conftest import Watch, new_store
from e2e.processes import Pair, ask, read, text_of
from tests.upstream import PAUSE, Upstream

T = TypeVar("T")

STOP_SECONDS = 1.5
"""From a Stop at one process to the end of the request that another sends to the model."""

FORM = {"Accept": "text/html"}


@pytest.fixture(scope="module", params=["postgresql", "sqlite"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    with Upstream() as upstream, Pair(folder, new_store(request, folder), upstream) as pair:
        yield pair
        for server in pair.servers:
            server.stop()
            assert "Traceback" not in server.log


def at_once(first: Callable[[], T], second: Callable[[], T]) -> list[T]:
    """Do both at the same moment."""
    both = Barrier(2)

    def after_both(work: Callable[[], T]) -> T:
        both.wait(5)
        return work()

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(after_both, (first, second)))


def in_form(api: httpx2.Client, prompt: str, **fields: str) -> httpx2.Response:
    """Send a prompt as a browser without scripts does."""
    return api.post("/completion", data={"prompt": prompt, **fields}, headers=FORM)


def test_what_one_writes_is_read_at_the_other_word_by_word(pair: Pair) -> None:
    pair.upstream.will_say("One ", PAUSE, "two ", PAUSE, "three.")
    answer = ask(pair.at_a, "Go")
    answer.until("One ")
    reader = read(pair.at_b, answer.path)

    reader.until("One ")
    pair.upstream.go_on()
    reader.until("One two ")
    pair.upstream.go_on()
    reader.until("One two three.")

    assert (reader.end(), answer.end()) == ("complete", "complete")
    assert answer.text == "One two three."


@pytest.mark.fault(24)
def test_a_stop_at_one_ends_what_the_other_writes(pair: Pair) -> None:
    pair.upstream.will_say("Words that were shown", PAUSE, " and more")
    answer = ask(pair.at_a, "Go")
    answer.until("Words that were shown")

    stopped = pair.at_b.post(f"{answer.path}/stop")

    assert stopped.status_code == 303
    pair.expect_left(STOP_SECONDS)
    assert answer.end() == "stopped"
    assert text_of(pair.at_a, answer) == text_of(pair.at_b, answer) == "Words that were shown"
    assert pair.at_b.post(f"{answer.path}/stop").status_code == 303
    assert read(pair.at_b, answer.path).end() == "stopped"


@pytest.mark.fault(24)
def test_a_stop_at_the_other_before_the_first_word_leaves_none(pair: Pair) -> None:
    pair.upstream.will_hang()
    asked = len(pair.upstream.asked)
    answer = ask(pair.at_a, "Go")
    pair.upstream.wait_asked(asked + 1)

    pair.at_b.post(f"{answer.path}/stop")

    pair.expect_left(STOP_SECONDS)
    assert (answer.end(), answer.text) == ("stopped", "")


@pytest.mark.fault(24)
def test_a_stop_at_the_other_after_the_end_changes_nothing(pair: Pair) -> None:
    pair.upstream.will_say("All of it.")
    answer = ask(pair.at_a, "Go")
    assert answer.end() == "complete"

    pair.at_b.post(f"{answer.path}/stop")

    assert read(pair.at_b, answer.path).end() == "complete"


@pytest.mark.fault(24)
def test_stops_at_both_at_once_end_it_once(pair: Pair) -> None:
    pair.upstream.will_say("Half", PAUSE)
    answer = ask(pair.at_a, "Go")
    answer.until("Half")

    stops = at_once(
        lambda: pair.at_a.post(f"{answer.path}/stop"), lambda: pair.at_b.post(f"{answer.path}/stop")
    )

    assert [stop.status_code for stop in stops] == [303, 303]
    pair.expect_left(STOP_SECONDS)
    assert (answer.end(), answer.text) == ("stopped", "Half")


@pytest.mark.fault(22)
@pytest.mark.parametrize("number", range(5))
def test_one_form_sent_to_both_at_once_is_one_prompt(pair: Pair, number: int) -> None:
    token = {"form_token": f"both-{number}"}
    asked = len(pair.upstream.asked)

    first, second = at_once(
        lambda: ask(pair.at_a, "Only once", **token), lambda: ask(pair.at_b, "Only once", **token)
    )

    assert (first.end(), second.end()) == ("complete", "complete")
    assert (first.path, first.conversation, first.text) == (second.path, second.conversation, second.text)
    assert len(pair.upstream.asked) == asked + 1
    assert pair.rows(f"select count(*) from messages where conversation_id = {first.conversation}") == [(2,)]


@pytest.mark.fault(23)
def test_the_same_form_with_another_text_is_refused_at_the_other_and_the_text_kept(pair: Pair) -> None:
    answer = ask(pair.at_a, "First", form_token="used")
    answer.end()

    refused = in_form(pair.at_b, "Another text", conversation=answer.conversation, form_token="used")

    assert refused.status_code == 409
    assert "Another text</textarea>" in refused.text


@pytest.mark.fault(21)
@pytest.mark.parametrize("number", range(5))
def test_of_two_prompts_sent_to_both_at_once_one_is_taken_and_the_other_kept(pair: Pair, number: int) -> None:
    begun = ask(pair.at_a, "Begin")
    begun.end()
    asked = len(pair.upstream.asked)
    pair.upstream.will_say("Taken", PAUSE, ".")
    prompts = [f"From A {number}", f"From B {number}"]

    answers = at_once(
        lambda: in_form(pair.at_a, prompts[0], conversation=begun.conversation, form_token=f"a-{number}"),
        lambda: in_form(pair.at_b, prompts[1], conversation=begun.conversation, form_token=f"b-{number}"),
    )

    assert sorted(answer.status_code for answer in answers) == [303, 409]
    [(kept, refused)] = [both for both in zip(prompts, answers, strict=True) if both[1].status_code == 409]
    assert f"{kept}</textarea>" in refused.text
    pair.upstream.wait_asked(asked + 1)
    pair.upstream.go_on()
    [(message,)] = pair.rows(f"select max(id) from messages where conversation_id = {begun.conversation}")
    assert read(pair.at_b, f"/completion/{message}").end() == "complete"
    assert len(pair.upstream.asked) == asked + 1


@pytest.mark.fault(26)
def test_what_is_deleted_at_one_while_the_other_writes_it_is_gone(pair: Pair) -> None:
    pair.upstream.will_say("Words", PAUSE, " of nobody")
    answer = ask(pair.at_a, "Go")
    answer.until("Words")
    watcher = read(pair.at_a, answer.path)
    watcher.until("Words")

    pair.at_b.post(f"/conversations/{answer.conversation}/delete")

    pair.expect_left(STOP_SECONDS)
    assert (answer.end(), watcher.end()) == ("gone", "gone")
    assert pair.at_a.get(f"/conversations/{answer.conversation}").status_code == 404
    assert pair.rows("select count(*) from chunks") == [(0,)]
    assert pair.rows(f"select count(*) from messages where id = {answer.message}") == [(0,)]
    assert pair.rows(f"select count(*) from conversations where id = {answer.conversation}") == [(0,)]


class TestInABrowser:
    @pytest.fixture
    def origin(self, pair: Pair) -> str:
        return pair.b.url

    @pytest.fixture
    def watch(self, origin: str) -> Iterator[Watch]:
        watch = Watch(origin)
        yield watch
        watch.check()

    def test_a_page_of_one_shows_and_stops_what_the_other_writes(self, new_context: Any, pair: Pair) -> None:
        pair.upstream.will_say("**One** ", PAUSE, "`two` ", PAUSE, "three.")
        answer = ask(pair.at_a, "Go")
        answer.until("**One** ")
        chat = Chat(new_context().new_page())
        chat.open(f"/conversations/{answer.conversation}")

        expect(chat.text).to_have_text("One")
        pair.upstream.go_on()
        expect(chat.text).to_have_text("One two")
        chat.stop_button.click()

        pair.expect_left(STOP_SECONDS)
        expect(chat.answer.locator(".ending")).to_contain_text("stopped", ignore_case=True)
        expect(chat.text).to_have_text("One two")
        chat.expect_complete()
        assert answer.end() == "stopped"

    def test_a_page_of_one_whose_conversation_is_deleted_at_the_other_says_so(
        self, new_context: Any, pair: Pair
    ) -> None:
        pair.upstream.will_say("Words", PAUSE)
        answer = ask(pair.at_a, "Go")
        answer.until("Words")
        chat = Chat(new_context().new_page())
        chat.open(f"/conversations/{answer.conversation}")
        expect(chat.text).to_have_text("Words")

        pair.at_a.post(f"/conversations/{answer.conversation}/delete")

        expect(chat.page.get_by_role("log")).to_contain_text("deleted")
        pair.expect_left(STOP_SECONDS)

    def test_a_page_without_scripts_grows_with_what_the_other_writes(
        self, new_context: Any, pair: Pair
    ) -> None:
        pair.upstream.will_say("One ", PAUSE, "two.")
        answer = ask(pair.at_a, "Go")
        answer.until("One ")
        plain = Chat(new_context(java_script_enabled=False).new_page())
        plain.page.goto(f"/conversations/{answer.conversation}/live", wait_until="commit")

        expect(plain.text).to_have_text("One")
        pair.upstream.go_on()

        expect(plain.text).to_have_text("One two.")
        plain.expect_complete()
