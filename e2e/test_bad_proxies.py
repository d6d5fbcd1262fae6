"""Proxies that take headers away, cut what is silent, or hold back what they should hand on."""

from typing import Any

import httpx2
import pytest
from playwright.sync_api import Page, expect

from e2e.chat import Chat
from e2e.conftest import NETWORK, Watch
from e2e.proxies import HttpProxy
from e2e.server import Server
from tests.upstream import PAUSE, Upstream


@pytest.fixture
def origin(proxy: HttpProxy) -> str:
    return proxy.url


class TestBehindAProxyThatTakesTheLastEventIdAway:
    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {"without": ["Last-Event-ID"]}

    @pytest.mark.fault(50)
    def test_a_cut_repeats_nothing(
        self, chat: Chat, upstream: Upstream, proxy: HttpProxy, watch: Watch
    ) -> None:
        watch.allow(*NETWORK)
        upstream.will_say("One **two** ", PAUSE, "three ", PAUSE, "four.\n\nFive.")
        chat.send("Go")
        expect(chat.text).to_have_text("One two")

        for shown in ("One two three", "One two three four.Five."):
            proxy.cut()
            upstream.go_on()
            proxy.mend()
            expect(chat.text).to_have_text(shown)

        chat.expect_whole("One **two** three four.\n\nFive.")


class TestBehindAProxyThatCutsWhatIsIdle:
    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {"idle_seconds": 1}

    @pytest.mark.fault(50)
    def test_a_model_that_thinks_long_is_waited_for(
        self, chat: Chat, upstream: Upstream, proxy: HttpProxy, watch: Watch
    ) -> None:
        watch.allow(*NETWORK)
        upstream.will_say("One **two** ", PAUSE, "three ", PAUSE, "four.")
        chat.send("Go")
        expect(chat.text).to_have_text("One two")

        proxy.wait(lambda: len(proxy.requests("/fragments")) > 2, "two cuts")
        upstream.go_on()
        expect(chat.text).to_have_text("One two three")
        seen = len(proxy.requests("/fragments"))
        proxy.wait(lambda: len(proxy.requests("/fragments")) > seen, "another cut")
        upstream.go_on()

        chat.expect_whole("One **two** three four.")


class TestBehindAProxyThatBuffers:
    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {"buffers": True}

    @pytest.mark.fault(50)
    def test_an_answer_comes_in_large_steps(
        self, page: Page, upstream: Upstream, server: Server, proxy: HttpProxy, watch: Watch
    ) -> None:
        watch.allow(*NETWORK)
        page.clock.install()
        chat = Chat(page)
        chat.open()
        upstream.will_say("One **two** ", PAUSE, "three ", PAUSE, "four.")
        chat.send("Go")
        proxy.wait(lambda: bool(proxy.open("/fragments")), "a stream")

        for shown, stored in (("One two", "two"), ("One two three", "three")):
            with httpx2.stream("GET", f"{server.url}/completion/2") as text:
                assert any(stored in line for line in text.iter_lines())
            with page.expect_response("**/messages/2"):
                page.clock.run_for(11_000)
            expect(chat.text).to_have_text(shown)
            upstream.go_on()
        page.clock.run_for(11_000)

        chat.expect_whole("One **two** three four.")
        proxy.wait(lambda: not proxy.open("/fragments"), "no stream")
