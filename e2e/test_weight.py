"""How much goes over the wire."""

from typing import Any

import httpx2
from playwright.sync_api import Request, expect

from e2e.chat import Chat
from e2e.server import Server
from tests.upstream import PAUSE, Pause, Upstream

FIRST_VISIT_BYTES, FIRST_VISIT_REQUESTS = 30_000, 5
ANSWER_BYTES = 100_000
RUNNING_ANIMATIONS = """() => document.getAnimations().filter(one =>
    one.timeline instanceof DocumentTimeline && one.playState === "running").length"""
"""Each draws the page sixty times a second, for as long as it runs."""


def test_a_first_visit_is_light(new_context: Any, origin: str) -> None:
    page = new_context().new_page()
    finished: list[Request] = []
    page.on("requestfinished", lambda request: finished.append(request))

    page.goto("/", wait_until="networkidle")

    requests = [request for request in finished if request.url.startswith(origin)]
    sizes = {request.url.removeprefix(origin): request.sizes()["responseBodySize"] for request in requests}
    assert len(sizes) <= FIRST_VISIT_REQUESTS, sizes
    assert sum(sizes.values()) <= FIRST_VISIT_BYTES, sizes


def test_what_waits_moves_only_while_it_is_seen(chat: Chat, upstream: Upstream) -> None:
    upstream.will_say(PAUSE, "Some words.", PAUSE)
    chat.send("Hi")
    expect(chat.answer.locator(".waiting")).to_be_visible()
    assert chat.page.evaluate(RUNNING_ANIMATIONS) == 1

    upstream.go_on()
    expect(chat.text).to_have_text("Some words.")
    assert chat.page.evaluate(RUNNING_ANIMATIONS) == 0
    upstream.go_on()
    chat.expect_complete()


def test_an_answer_of_1500_tokens_is_light(server: Server, upstream: Upstream) -> None:
    tokens = ["Some", " *words*", " and", " `code`", ".", " More", " words", " on", " this", ".\n\n"] * 150
    upstream.will_say(*(step for token in tokens for step in (token, Pause(0.004))))

    with httpx2.Client(base_url=server.url, timeout=60, trust_env=False) as client:
        client.post("/completion", data={"prompt": "Hi"}, headers={"HX-Request": "true"})
        with client.stream("GET", "/completion/2/fragments") as stream:
            received = sum(len(piece) for piece in stream.iter_raw())
        final = client.get("/messages/2", headers={"HX-Request": "true"})

    assert final.text.count("<em>words</em>") == 150
    assert received + int(final.headers["content-length"]) <= ANSWER_BYTES
