"""The chat as a user sees it: what can be done, and what can be read."""

from bs4 import BeautifulSoup
from playwright.sync_api import Locator, Page, expect

from app.renderings import shown_now


class Chat:
    """One open page of the chat."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def open(self, path: str = "/") -> None:
        """Go to a page of it."""
        self.page.goto(path)

    def write(self, text: str) -> None:
        """Put text into the composer."""
        self.composer.fill(text)

    def send(self, text: str) -> None:
        """Write a prompt and send it by the button."""
        self.write(text)
        self.send_button.click()

    @property
    def composer(self) -> Locator:
        """Where prompts are written."""
        return self.page.get_by_role("textbox", name="Message")

    @property
    def send_button(self) -> Locator:
        """The button that sends."""
        return self.page.get_by_role("button", name="Send", exact=True)

    @property
    def stop_button(self) -> Locator:
        """The button that stops an answer."""
        return self.page.get_by_role("button", name="Stop", exact=True)

    @property
    def retry_button(self) -> Locator:
        """The button that has a prompt answered again."""
        return self.page.get_by_role("button", name="Retry")

    @property
    def prompts(self) -> Locator:
        """What was asked."""
        return self.page.locator("[role=log] article[data-role=user] .said")

    @property
    def answers(self) -> Locator:
        """Every answer."""
        return self.page.locator("[role=log] article[data-role=assistant]")

    @property
    def answer(self) -> Locator:
        """The newest answer's article."""
        return self.answers.last

    @property
    def text(self) -> Locator:
        """The newest answer's text, as it is shown."""
        return self.answer.locator(".prose:visible").last

    @property
    def notice(self) -> Locator:
        """What went wrong, just above the composer."""
        return self.page.locator(".notice .problem:visible")

    @property
    def conversations(self) -> Locator:
        """The list of conversations."""
        return self.page.locator("#conversations a")

    def expect_complete(self) -> None:
        """Wait until the newest answer has ended and the composer is free again."""
        expect(self.answer.locator(".ending")).to_be_visible()
        expect(self.answer).not_to_have_attribute("aria-busy", "true")
        expect(self.send_button).to_be_visible()

    def expect_whole(self, text: str) -> None:
        """Wait until the newest answer is complete; it then reads exactly as its text does."""
        self.expect_complete()
        place = (self.answer.get_attribute("id") or "").removeprefix("message-")
        shown: list[str] = self.text.evaluate("prose => [...prose.children].map(block => block.innerHTML)")
        assert [normal(html) for html in shown] == [normal(html) for html in shown_now(place, text).blocks]


def normal(html: str) -> str:
    """HTML written in one of the ways that mean the same."""
    return str(BeautifulSoup(html, "html.parser"))
