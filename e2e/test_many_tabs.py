"""Tabs that nobody looks at, and more of them than a browser has connections for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import BrowserType

from e2e.chat import Chat
from e2e.proxies import HttpProxy
from e2e.tabs import Tabs
from tests.upstream import PAUSE, Pause, Upstream


@pytest.fixture
def origin(proxy: HttpProxy) -> str:
    return proxy.url


class TestTabsThatHideOneAnother:
    @pytest.fixture
    def options(self) -> dict[str, Any]:
        # What would take forty seconds takes two; who is compressed cannot be changed on the way.
        return {"without": ["Accept-Encoding"], "instead": {b"alive delay:40s": b"alive delay:02s"}}

    @pytest.fixture
    def tabs(
        self, browser_type: BrowserType, browser_type_launch_args: dict[str, Any], tmp_path: Path
    ) -> Iterator[Tabs]:
        executable = browser_type_launch_args.get("executable_path") or browser_type.executable_path
        if "headless_shell" in executable or "headless-shell" in executable:
            pytest.skip("this browser has no tabs that are hidden")
        with Tabs(executable, tmp_path / "profile", *browser_type_launch_args["args"]) as tabs:
            yield tabs

    def ask(self, origin: str, prompt: str) -> None:
        """Send a prompt as a program does that does not care for the answer."""
        with httpx2.stream("POST", f"{origin}/completion", data={"prompt": prompt}) as response:
            assert response.status_code == 200

    @pytest.mark.fault(18)
    def test_a_hidden_tab_holds_no_stream_and_goes_on_when_it_is_shown(
        self, tabs: Tabs, origin: str, upstream: Upstream, proxy: HttpProxy
    ) -> None:
        upstream.will_say("One ", PAUSE, "two.")
        self.ask(origin, "Go")
        tab = tabs.open(f"{origin}/conversations/1")
        proxy.wait(lambda: len(proxy.open("/fragments")) == 1, "a stream")

        tabs.open(f"{origin}/demo")
        proxy.wait(lambda: not proxy.open("/fragments"), "the stream to be let go")
        proxy.wait(lambda: bool(proxy.requests("/messages/2")), "the hidden page to miss its stream")
        tabs.open(f"{origin}/demo")
        proxy.wait(lambda: len(proxy.requests("/demo")) == 2, "a third tab")
        assert not proxy.open("/fragments")

        tabs.show(tab)
        proxy.wait(lambda: len(proxy.open("/fragments")) == 1, "a stream again")
        upstream.go_on()
        proxy.wait(lambda: not proxy.open("/fragments"), "the end of the stream")

    @pytest.mark.fault(49)
    def test_eight_tabs_with_running_answers_leave_the_front_one_a_connection(
        self, tabs: Tabs, origin: str, upstream: Upstream, proxy: HttpProxy
    ) -> None:
        opened = []
        for number in range(1, 9):
            upstream.will_say("One ", PAUSE, "two.")
            self.ask(origin, "Go")
            opened.append(tabs.open(f"{origin}/conversations/{number}"))
            self.wait_for_the_one_stream(proxy, number)

        for number, tab in enumerate(opened, 1):
            tabs.show(tab)
            self.wait_for_the_one_stream(proxy, number)
        for _ in opened:
            upstream.go_on()
        for number, tab in enumerate(opened, 1):
            tabs.show(tab)
            final = f"/messages/{2 * number}"
            proxy.wait(lambda final=final: len(proxy.requests(final)) > 0, "the final form")  # type: ignore[misc] # mypy and defaults of lambdas

    def wait_for_the_one_stream(self, proxy: HttpProxy, number: int) -> None:
        """Wait until the page in front streams its answer, and no other page does."""
        path = f"/completion/{2 * number}/fragments"
        proxy.wait(
            lambda: (streams := proxy.open("/fragments")) != [] and all(path in one.path for one in streams),
            f"one stream, of {path}",
        )


@pytest.mark.fault(49)
def test_eight_windows_side_by_side_are_all_served_as_answers_end(
    new_context: Any, upstream: Upstream, origin: str
) -> None:
    context = new_context()
    windows = []
    for number in range(1, 9):
        upstream.will_say("One ", Pause(2), "two.")
        with httpx2.stream("POST", f"{origin}/completion", data={"prompt": "Go"}):
            windows.append(Chat(context.new_page()))
        windows[-1].page.goto(f"/conversations/{number}", wait_until="commit")

    for window in windows:
        window.expect_whole("One two.")
