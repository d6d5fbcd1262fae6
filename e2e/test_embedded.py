"""The built-in model, for real: what arrives and how, not what it says."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from e2e.chat import Chat
from e2e.server import Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path) as server:
        yield server


def test_the_built_in_model_answers_and_says_that_it_is_small(chat: Chat) -> None:
    expect(chat.page.locator("#model")).to_contain_text("SmolLM2")
    expect(chat.page.locator(".small-model")).to_contain_text("small demonstration")

    chat.send("What is the capital of France?")

    expect(chat.text.locator("p").first).not_to_be_empty(timeout=30_000)
    expect(chat.answer.locator(".ending")).to_be_visible(timeout=60_000)
    expect(chat.answer.locator(".ending .problem")).to_have_count(0)
    chat.expect_complete()
