"""The pages: what they hold, and for whom."""

import os
import shutil
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI

from app import templating
from app.deps import NOT_STARTED
from app.main import create_app
from app.providers import ChatMessage
from app.providers.scripted import PAUSE, ScriptedProvider
from app.settings import Settings
from tests.conftest import serving
from tests.pages import attributes, select

BROWSER = {"Accept": "text/html"}
HTMX = {"HX-Request": "true"}


async def test_the_empty_page_invites_by_plain_forms(client: httpx2.AsyncClient) -> None:
    page = await client.get("/", headers=BROWSER)

    assert len(select(page, ".examples form[method=post][action='/completion'] button[type=submit]")) == 4
    tokens = attributes(page, "input[name=form_token]", "value")
    assert len(set(tokens)) == len(tokens) == 5


async def test_every_control_works_without_scripts(
    client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.will_say("Slow", PAUSE)
    await client.post("/completion", data={"prompt": "Hi"}, headers=HTMX)

    for path in ("/", "/conversations/1"):
        page = await client.get(path, headers=BROWSER)
        forms = attributes(page, "form", "action")
        assert forms
        assert all(forms)
        assert set(attributes(page, "form", "method")) == {"post"}


async def test_a_running_answer_goes_on_from_what_the_page_shows(
    client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.will_say("Some text", PAUSE)
    async with client.stream("POST", "/completion", data={"prompt": "Hi"}) as response:
        async for line in response.aiter_lines():
            if "Some text" in line:
                break

    page = await client.get("/conversations/1", headers=BROWSER)

    assert select(page, "[aria-busy=true] > .prose") == ["Some text"]
    assert attributes(page, ".stream", "hx-sse:connect") == ["/completion/2/fragments?from=9"]
    assert "url=/conversations/1/live" in page.text


async def test_the_piece_of_an_answer_has_a_new_stream_until_it_has_ended(
    client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.will_say("Slow", PAUSE, " answer")
    await client.post("/completion", data={"prompt": "Hi"}, headers=HTMX)

    running = await client.get("/messages/2", headers=HTMX)
    provider.go_on()
    await client.get("/completion/2")
    ended = await client.get("/messages/2", headers=HTMX)

    assert len(select(running, "[aria-busy=true] .stream")) == 1
    assert len(select(ended, "article:not([aria-busy]) .ending")) == 1
    assert len(select(ended, "hx-partial #composer .send")) == 1


async def test_markup_in_prompts_titles_and_answers_is_text(
    client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    evil = "<img src=x onerror=alert(1)><hx-partial hx-target=body>"
    provider.will_say(evil)
    await client.post("/completion", data={"prompt": evil})

    page = await client.get("/conversations/1", headers=BROWSER)

    assert select(page, "img, hx-partial") == []
    assert select(page, ".said") == [evil]
    assert select(page, "#conversations a[aria-current] bdi") == [evil]
    assert evil in select(page, ".prose")[0]


async def test_the_model_and_its_state_are_shown(settings: Settings) -> None:
    class Starting(ScriptedProvider):
        small = True

    provider = Starting(model="Tiny")
    provider.state = type(provider.state)("starting", "The model is being loaded.")
    async with (
        serving(create_app(settings, provider=provider)) as url,
        httpx2.AsyncClient(base_url=url, trust_env=False) as client,
    ):
        page = await client.get("/", headers=BROWSER)
        provider.state = type(provider.state)()
        piece = await client.get("/model", headers=HTMX)

    assert select(page, "#model .model-state") == ["The model is being loaded."]
    assert attributes(page, "#model", "hx-trigger") == ["every 1s"]
    assert "Tiny is a small demonstration" in page.text
    assert attributes(piece, "#model", "hx-trigger") == [""]


async def test_an_async_generator_of_ones_own_answers(settings: Settings) -> None:
    async def my_model(messages: list[ChatMessage]):  # type: ignore[no-untyped-def] # as anyone would write it
        yield "You said: "
        yield messages[-1]["content"]

    async with (
        serving(create_app(settings, generate=my_model)) as url,
        httpx2.AsyncClient(base_url=url, trust_env=False) as client,
    ):
        answer = await client.post("/completion", data={"prompt": "Hi"})
        page = await client.get("/conversations/1", headers=BROWSER)

    assert answer.text.endswith("event: done\ndata: complete\n\n")
    assert select(page, ".answer .author") == ["my model"]
    assert select(page, ".prose") == ["You said: Hi"]


async def test_a_mounted_chat_knows_where_it_is(settings: Settings, provider: ScriptedProvider) -> None:
    chat = create_app(settings, provider=provider)
    host = FastAPI(lifespan=chat.router.lifespan_context)
    host.mount("/chat", chat)
    provider.will_say("Hello.")

    async with serving(host) as url, httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        page = await client.get("/chat/", headers=BROWSER)
        sent = await client.post("/chat/completion", data={"prompt": "Hi"}, headers=BROWSER)
        static = [await client.get(address) for address in attributes(page, "link[rel=stylesheet]", "href")]

    assert attributes(page, "#composer", "action") == ["/chat/completion"]
    assert sent.headers["location"] == "/chat/conversations/1/live"
    assert [response.status_code for response in static] == [200]


async def test_a_chat_that_was_mounted_without_its_lifespan_says_what_is_missing(
    settings: Settings, provider: ScriptedProvider, caplog: pytest.LogCaptureFixture
) -> None:
    host = FastAPI()
    host.mount("/chat", create_app(settings, provider=provider))

    async with serving(host) as url, httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        page = await client.get("/chat/", headers=BROWSER)
        sent = await client.post("/chat/completion", data={"prompt": "Hi"})

    assert page.status_code == sent.status_code == 500
    assert select(page, ".problem") == [sent.json()["detail"]] == [NOT_STARTED]
    assert NOT_STARTED in caplog.text
    assert "Traceback" not in caplog.text


async def test_a_chat_is_mounted_beside_what_a_site_has_of_its_own(
    settings: Settings, provider: ScriptedProvider
) -> None:
    chat = create_app(settings, provider=provider)
    begun = []

    @asynccontextmanager
    async def lifespan(site: FastAPI) -> AsyncIterator[None]:
        async with chat.router.lifespan_context(chat):
            begun.append(site)
            yield

    host = FastAPI(lifespan=lifespan)
    host.mount("/chat", chat)

    async with serving(host) as url, httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        page = await client.get("/chat/", headers=BROWSER)

    assert page.status_code == 200
    assert begun == [host]


@pytest.mark.parametrize(("reload", "shown"), [(True, "after"), (False, "before")])
async def test_who_restyles_sees_a_changed_template_at_the_next_reload(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, reload: bool, shown: str
) -> None:
    async def my_model(messages: list[ChatMessage]) -> AsyncGenerator[str, None]:
        yield "Hi"

    folder = shutil.copytree(templating.TEMPLATES, tmp_path / "templates")
    monkeypatch.setattr(templating, "TEMPLATES", folder)
    template = folder / "errors" / "problem.html"
    template.write_text("{# As it was. #}before")
    chat = create_app(settings, generate=my_model, reload=reload)

    async with serving(chat) as url, httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        first = await client.get("/nowhere", headers=BROWSER)
        template.write_text("{# As it is now. #}after")
        os.utime(template, (1, 1))  # a clock may be too coarse to tell the two apart
        second = await client.get("/nowhere", headers=BROWSER)

    assert (first.text, second.text) == ("before", shown)


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
async def test_an_unknown_conversation_is_told_as_the_reader_wants_it(
    client: httpx2.AsyncClient, accept: str
) -> None:
    response = await client.get("/conversations/99", headers={"Accept": accept})

    assert response.status_code == 404
    assert response.headers["content-type"].startswith(accept)
    assert "It may have been deleted" in response.text


async def test_what_a_model_was_not_sent_is_told(settings: Settings) -> None:
    provider = ScriptedProvider(context_tokens=100)
    async with (
        serving(create_app(settings, provider=provider)) as url,
        httpx2.AsyncClient(base_url=url, trust_env=False) as client,
    ):
        await client.post("/completion", data={"prompt": "a" * 300})
        await client.post("/completion", data={"prompt": "And now?", "conversation": "1"})
        page = await client.get("/conversations/1", headers=BROWSER)

    assert "the first 2 messages were left out" in select(page, ".remark")[0]


async def test_a_page_does_not_wait_for_a_model_that_other_processes_run(store: str) -> None:
    chat = create_app(Settings(database_url=store, generate_in="worker"))
    async with serving(chat) as url, httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        page = await client.get("/", headers=BROWSER)

    assert attributes(page, "#model", "data-state") == ["ready"]
    assert "every 1s" not in page.text
    assert "SmolLM2" in select(page, "#model")[0]
