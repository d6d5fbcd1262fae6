"""What a server does that is told to end: it lets answers come to their end, and keeps what cannot."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import expect

from e2e.chat import Chat
from e2e.conftest import Watch
from e2e.server import Server
from tests.upstream import PAUSE, Upstream

GRACE_SECONDS = 30


@pytest.fixture
def server(tmp_path: Path, upstream: Upstream) -> Iterator[Server]:
    with Server(
        tmp_path, openai_base_url=upstream.url, model="scripted", grace_seconds=str(GRACE_SECONDS)
    ) as server:
        yield server


@pytest.fixture
def api(server: Server) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.url, trust_env=False, timeout=10) as client:
        yield client


def drained(server: Server, api: httpx2.Client) -> None:
    """Tell the server to end, and see that it has begun to."""
    server.signal(signal.SIGTERM)
    while api.get("/readyz").status_code == 200:
        continue
    assert api.get("/readyz").text == "ending\n"
    assert api.get("/healthz").status_code == 200


def test_an_answer_may_come_to_its_end(
    chat: Chat, upstream: Upstream, server: Server, api: httpx2.Client, watch: Watch
) -> None:
    watch.allow("ERR_", "SSE", "network error", "Failed to fetch", "htmx")
    upstream.will_say("First half, ", PAUSE, "second half.")
    chat.send("Go")
    expect(chat.text).to_have_text("First half,")

    drained(server, api)
    upstream.go_on()

    expect(chat.text).to_have_text("First half, second half.")
    chat.expect_complete()
    assert server.wait(GRACE_SECONDS) == 0
    assert "Traceback" not in server.log


def test_no_new_prompt_is_taken_and_its_text_stays(
    new_context: Any, upstream: Upstream, server: Server, api: httpx2.Client, watch: Watch
) -> None:
    watch.allow("503", "ERR_", "Failed to fetch", "htmx")
    upstream.will_say("First half, ", PAUSE, "second half.")
    chat, other = Chat(new_context().new_page()), Chat(new_context().new_page())
    chat.open()
    other.open()
    chat.send("Go")
    expect(chat.text).to_have_text("First half,")
    drained(server, api)

    other.send("Not now")

    expect(other.notice).to_contain_text("being restarted")
    expect(other.composer).to_have_value("Not now")
    refused = api.post("/completion", data={"prompt": "Nor this"})
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
    upstream.go_on()
    assert server.wait(GRACE_SECONDS) == 0
    assert len(upstream.asked) == 1


class TestAShortGrace:
    @pytest.fixture
    def server(self, tmp_path: Path, upstream: Upstream) -> Iterator[Server]:
        with Server(tmp_path, openai_base_url=upstream.url, model="scripted", grace_seconds="0.5") as server:
            yield server

    @pytest.mark.parametrize("readers", [1, 50])
    def test_what_is_not_ended_by_then_is_kept_as_interrupted(
        self, upstream: Upstream, server: Server, readers: int
    ) -> None:
        for _ in range(readers):
            upstream.will_say("Words that were shown", PAUSE)
        streams = []
        with httpx2.Client(base_url=server.url, trust_env=False, timeout=10) as api:
            for number in range(readers):
                request = api.build_request("POST", "/completion", data={"prompt": f"Go {number}"})
                stream = api.send(request, stream=True)
                streams.append((stream, stream.iter_lines()))
            for _, lines in streams:
                while "Words" not in next(lines):
                    continue

            server.signal(signal.SIGTERM)
            said = ["\n".join(lines) for _, lines in streams]

        assert server.wait(5) == 0
        assert all("event: done\ndata: interrupted" in words for words in said)
        assert "Traceback" not in server.log
        server.start()
        with httpx2.Client(base_url=server.url, trust_env=False, timeout=10) as api:
            assert api.get("/messages/2/text").text == "Words that were shown"
        upstream.wait_closed(readers)
