"""One of several processes is killed, held up or replaced: its answers end or go on, and none is doubled."""

import signal
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from playwright.sync_api import expect

from e2e.balancer import Balancer
from e2e.chat import Chat
from e2e.conftest import Watch, new_store
from e2e.processes import Pair, ask, read, text_of, wait_ready
from tests.upstream import PAUSE, Upstream

DEAD_SECONDS = 5
"""From the death of a process to the end of its answers, as others see it."""

GRACE_SECONDS = 30


@pytest.fixture(params=["postgresql"])
def pair(request: pytest.FixtureRequest, tmp_path: Path, upstream: Upstream) -> Iterator[Pair]:
    with Pair(tmp_path, new_store(request, tmp_path), upstream, grace_seconds=str(GRACE_SECONDS)) as pair:
        yield pair
        for server in pair.servers:
            server.stop()
            assert "Traceback" not in server.log


BOTH = pytest.mark.parametrize("pair", ["postgresql", "sqlite"], indirect=True)


@pytest.mark.fault(33)
@BOTH
@pytest.mark.fault(29)
def test_the_answers_of_a_killed_process_end_with_their_text(pair: Pair) -> None:
    pair.upstream.will_say("Words that were shown", PAUSE)
    answer = ask(pair.at_a, "Go")
    answer.until("Words that were shown")
    reader = read(pair.at_b, answer.path)
    reader.until("Words that were shown")

    pair.a.kill()
    killed = monotonic()

    assert reader.end() == "interrupted"
    assert monotonic() - killed < DEAD_SECONDS
    assert "server was stopped" in reader.error
    pair.upstream.will_say(", and the rest.")
    assert pair.at_b.post(f"/messages/{answer.message}/continue").status_code == 303
    going_on = read(pair.at_b, answer.path)
    assert (going_on.end(), going_on.text) == ("complete", "Words that were shown, and the rest.")


@pytest.mark.fault(29)
def test_retry_at_the_other_answers_anew_and_keeps_what_there_was(pair: Pair) -> None:
    pair.upstream.will_say("Half", PAUSE)
    answer = ask(pair.at_a, "Go")
    answer.until("Half")
    reader = read(pair.at_b, answer.path)
    pair.a.kill()
    assert reader.end() == "interrupted"

    pair.upstream.will_say("Whole.")
    pair.at_b.post(f"/messages/{answer.message}/retry")

    again = read(pair.at_b, f"/completion/{answer.message + 1}")
    assert (again.end(), again.text) == ("complete", "Whole.")
    assert text_of(pair.at_b, answer) == "Half"


@BOTH
@pytest.mark.fault(34)
def test_a_process_that_wakes_up_late_doubles_no_text(pair: Pair) -> None:
    pair.upstream.will_say("First, ", PAUSE, "late words", PAUSE)
    answer = ask(pair.at_a, "Go")
    answer.until("First, ")
    reader = read(pair.at_b, answer.path)
    pair.a.signal(signal.SIGSTOP)
    assert reader.end() == "interrupted"
    pair.upstream.will_say("then ", PAUSE, "the end.")
    pair.at_b.post(f"/messages/{answer.message}/continue")
    going_on = read(pair.at_b, answer.path)
    going_on.until("First, then ")

    # The first pause that is released is the one that the late words wait behind.
    pair.upstream.go_on()
    pair.a.signal(signal.SIGCONT)
    pair.expect_left(DEAD_SECONDS)
    at_a = read(pair.at_a, answer.path)
    at_a.until("First, then ")
    pair.upstream.go_on()

    assert (going_on.end(), going_on.text) == ("complete", "First, then the end.")
    for at in (at_a, answer):
        assert (at.end(), at.text) == ("complete", "First, then the end.")
    assert text_of(pair.at_a, answer) == "First, then the end."
    pair.upstream.will_say("Here.")
    afterwards = ask(pair.at_a, "Are you well?")
    assert (afterwards.end(), afterwards.text) == ("complete", "Here.")


class TestInABrowser:
    @pytest.fixture
    def balancer(self, pair: Pair) -> Iterator[Balancer]:
        with Balancer([pair.a, pair.b]) as balancer:
            yield balancer

    @pytest.fixture
    def origin(self, balancer: Balancer) -> str:
        return balancer.url

    @pytest.fixture
    def watch(self, origin: str) -> Iterator[Watch]:
        watch = Watch(origin)
        watch.allow("ERR_", "SSE", "network error", "Failed to fetch", "502")
        yield watch
        watch.check()

    @pytest.mark.fault(29)
    def test_a_page_whose_process_is_killed_goes_on_at_the_other(
        self, chat: Chat, pair: Pair, balancer: Balancer
    ) -> None:
        pair.upstream.will_say("Words that were shown", PAUSE)
        chat.send("Go")
        expect(chat.text).to_have_text("Words that were shown")

        pair.a.kill()

        expect(chat.answer.locator(".ending .problem")).to_contain_text("server was stopped")
        expect(chat.text).to_have_text("Words that were shown")
        pair.upstream.will_say(", and the rest.")
        chat.page.get_by_role("button", name="Continue").click()
        expect(chat.text).to_have_text("Words that were shown, and the rest.")
        chat.expect_complete()

    @pytest.mark.fault(32)
    def test_a_rolling_restart_is_not_seen(
        self, chat: Chat, new_context: Any, pair: Pair, balancer: Balancer
    ) -> None:
        pair.upstream.will_say("One ", PAUSE, "*two* ", PAUSE, "three.")
        chat.send("Go")
        expect(chat.text).to_have_text("One")
        balancer.prefer(pair.b)
        other = Chat(new_context().new_page())
        other.open("/conversations/1")
        expect(other.text).to_have_text("One")

        # A writes it, and may end it; prompts go to B meanwhile.
        pair.a.signal(signal.SIGTERM)
        assert wait_ready(pair.at_a, ready=False) == "ending\n"
        pair.upstream.go_on()
        for page in (chat, other):
            expect(page.text).to_have_text("One two")
        pair.upstream.go_on()
        assert pair.a.wait(GRACE_SECONDS) == 0
        for page in (chat, other):
            expect(page.text).to_have_text("One two three.")
            page.expect_complete()
        pair.a.start()
        wait_ready(pair.at_a)

        # B is read from, and writes nothing: whoever reads there goes on at A.
        balancer.prefer(pair.a)
        pair.upstream.will_say("Four ", PAUSE, "*five* ", PAUSE, "six.")
        chat.send("And on")
        expect(chat.text).to_have_text("Four")
        balancer.prefer(pair.b)
        other.page.reload()
        expect(other.text).to_have_text("Four")
        pair.b.signal(signal.SIGTERM)
        pair.upstream.go_on()
        assert pair.b.wait(GRACE_SECONDS) == 0
        for page in (chat, other):
            expect(page.text).to_have_text("Four five")
        pair.b.start()
        pair.upstream.go_on()
        for page in (chat, other):
            expect(page.text).to_have_text("Four five six.")
            page.expect_complete()
        assert len(pair.upstream.asked) == 2
