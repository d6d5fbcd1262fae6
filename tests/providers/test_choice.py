"""Which provider the settings choose, and the public generator on its own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.providers import choose_provider, prompt_llm_async
from app.providers.embedded import EmbeddedProvider
from app.providers.openai import OpenAIProvider
from app.settings import Settings
from tests.providers.conftest import HELLO
from tests.upstream import Upstream


def settings(**named: Any) -> Settings:
    """Settings from nowhere but here."""
    nothing = dict.fromkeys(("openai_base_url", "openai_api_key", "model", "local_model_path"))
    return Settings.model_validate({**nothing, **named})


async def test_an_address_chooses_that_server(upstream: Upstream) -> None:
    provider = choose_provider(settings(openai_base_url=upstream.url, openai_api_key="sk-1", model="gpt-9"))

    assert "".join([str(delta) async for delta in prompt_llm_async(HELLO, provider=provider)])
    assert upstream.asked[0].headers["authorization"] == "Bearer sk-1"
    assert upstream.asked[0].body["model"] == "gpt-9"
    await provider.close()


async def test_a_key_alone_chooses_openai_and_needs_a_model() -> None:
    provider = choose_provider(settings(openai_api_key="sk-1"))

    assert isinstance(provider, OpenAIProvider)
    assert "MODEL" in provider.state.sentence
    assert choose_provider(settings(openai_api_key="sk-1", model="gpt-9")).state.name == "ready"


def test_neither_chooses_the_built_in_model() -> None:
    provider = choose_provider(settings())

    assert isinstance(provider, EmbeddedProvider)
    assert provider.small


def test_a_file_takes_the_place_of_the_built_in_model() -> None:
    provider = choose_provider(settings(local_model_path="/models/Qwen3-4B.gguf"))

    assert isinstance(provider, EmbeddedProvider)
    assert (provider.small, provider.model) == (False, "Qwen3-4B")


async def test_on_its_own_the_generator_opens_what_the_settings_choose_and_closes_it(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_BASE_URL", upstream.url)
    monkeypatch.setenv("MODEL", "gpt-9")
    upstream.will_say("Hi")

    assert "".join([str(delta) async for delta in prompt_llm_async(HELLO)]) == "Hi"


def test_importing_the_package_loads_no_http_client() -> None:
    code = "import sys, app.providers; sys.exit('httpx2' in sys.modules or 'pydantic' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], env=dict(os.environ), check=False).returncode == 0
