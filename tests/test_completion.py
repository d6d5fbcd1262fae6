"""POST /completion and the streams behind it, for each kind of reader."""

import httpx2
import pytest
from fastapi import FastAPI

from app.deps import Chat
from app.providers import ProviderError
from app.providers.scripted import PAUSE, ScriptedProvider
from tests.pages import attributes, events, select

STORES = ("sqlite", "postgresql")

HTMX = {"HX-Request": "true"}
BROWSER = {"Accept": "text/html"}


def chat_of(app: FastAPI) -> Chat:
    chat: Chat = app.state.chat
    return chat


async def test_a_program_gets_the_answer_as_events_with_positions_and_done_last(
    client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.will_say("Hello", PAUSE, " there.\n\nBye")

    async with client.stream("POST", "/completion", data={"prompt": "Hi"}) as response:
        stream = events(response)
        first = await anext(stream)
        provider.go_on()
        rest = [event async for event in stream]

    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["content-location"] == "/completion/2"
    assert response.headers["x-conversation-id"] == "1"
    assert (first.id, first.data) == ("5", "Hello")
    assert [(event.event, event.data) for event in rest[-1:]] == [("done", "complete")]
    assert (
        "".join(event.data for event in [first, *rest] if event.event == "message") == "Hello there.\n\nBye"
    )
    assert rest[-2].id == str(len("Hello there.\n\nBye"))


async def test_htmx_gets_a_prompt_and_an_answer_under_way_and_a_busy_composer(
    client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.will_say("Hello.", PAUSE)

    response = await client.post("/completion", data={"prompt": "Hi <b>you</b>"}, headers=HTMX)

    assert response.status_code == 200
    assert select(response, ".prompt .said") == ["Hi <b>you</b>"]
    assert len(select(response, "article[data-role=assistant][aria-busy=true]")) == 1
    assert len(select(response, "#composer button.stop")) == 1
    assert response.headers["hx-push-url"] == "/conversations/1"


async def test_a_browsers_form_is_sent_to_the_page_that_streams(
    client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.will_say("One **two**", PAUSE, " three.")

    sent = await client.post("/completion", data={"prompt": "Count"}, headers=BROWSER)
    assert (sent.status_code, sent.headers["location"]) == (303, "/conversations/1/live")

    async with client.stream("GET", "/conversations/1/live", headers=BROWSER) as response:
        body = ""
        async for piece in response.aiter_text():
            body += piece
            if "<strong>two" in body and "three" not in body:
                provider.go_on()
    assert "three." in body
    assert body.index("three.") < body.index('class="ending"') < body.index("</html>")


async def test_a_second_reader_resumes_where_it_says_it_is(
    client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.will_say("Hello there.")
    await client.post("/completion", data={"prompt": "Hi"})

    response = await client.get("/completion/2", headers={"Last-Event-ID": "6"})

    assert response.text == "id: 12\ndata: there.\n\nevent: done\ndata: complete\n\n"


@pytest.mark.parametrize("bogus", ["-1", "99999", "x", "1e3", "9" * 10_000, "٣"])
async def test_a_position_that_makes_no_sense_gets_the_whole_answer(
    client: httpx2.AsyncClient, provider: ScriptedProvider, bogus: str
) -> None:
    provider.will_say("Hello there.")
    await client.post("/completion", data={"prompt": "Hi"})
    header = [(b"Last-Event-ID", bogus.encode())]

    text = await client.get("/completion/2", headers=header)
    fragments = await client.get("/completion/2/fragments", headers=header)

    assert "data: Hello there." in text.text
    assert "#message-2-blocks" in fragments.text
    assert "Hello there." in fragments.text


@pytest.mark.parametrize("address", ["/completion/77", "/completion/77/fragments"])
async def test_the_stream_of_an_unknown_answer_says_so_and_is_done(
    client: httpx2.AsyncClient, address: str
) -> None:
    response = await client.get(address)

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text.endswith("event: done\ndata: gone\n\n")


async def test_a_failure_is_an_error_event_before_done_and_keeps_what_came(
    client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.will_say("Half an", ProviderError("The connection to the model was lost.", "interrupted"))

    response = await client.post("/completion", data={"prompt": "Hi"})

    assert "data: Half an\n" in response.text
    assert response.text.endswith(
        "event: error\ndata: The connection to the model was lost.\n\nevent: done\ndata: interrupted\n\n"
    )
    page = await client.get("/conversations/1", headers=BROWSER)
    assert select(page, ".ending .problem") == ["The connection to the model was lost."]
    assert select(page, ".prose") == ["Half an"]


async def test_one_form_token_sends_one_prompt(
    client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.will_say("Once.")
    form = {"prompt": "Hi", "form_token": "t1"}

    first = await client.post("/completion", data=form, headers=BROWSER)
    second = await client.post("/completion", data=form, headers=BROWSER)
    other = await client.post("/completion", data={**form, "prompt": "Something else"}, headers=BROWSER)

    assert first.headers["location"] == second.headers["location"]
    assert len(provider.asked) == 1
    assert other.status_code == 409
    assert select(other, "#prompt") == ["Something else"]
    assert attributes(other, "#form-token", "value") != ["t1"]


async def test_a_used_token_is_renewed_in_the_page(client: httpx2.AsyncClient) -> None:
    await client.post("/completion", data={"prompt": "Hi", "form_token": "t1"})

    response = await client.post("/completion", data={"prompt": "Other", "form_token": "t1"}, headers=HTMX)

    assert response.status_code == 409
    assert attributes(response, "hx-partial #form-token", "value") not in ([], ["t1"])


@pytest.mark.fault(21)
@pytest.mark.fault(27)
async def test_a_second_prompt_while_an_answer_runs_is_refused_and_kept(
    client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.will_say("Slow", PAUSE)
    await client.post("/completion", data={"prompt": "Hi"}, headers=HTMX)

    response = await client.post("/completion", data={"prompt": "More", "conversation": "1"}, headers=BROWSER)

    assert response.status_code == 409
    assert select(response, "#prompt") == ["More"]
    assert "still being written" in select(response, "#notice .problem")[0]


async def test_stop_keeps_the_text_and_is_final_and_idempotent(
    client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.will_say("Kept", PAUSE, " not kept")
    async with client.stream("POST", "/completion", data={"prompt": "Hi"}) as response:
        stream = events(response)
        await anext(stream)

        stopped = await client.post("/completion/2/stop", headers=HTMX)
        provider.go_on()
        rest = [event async for event in stream]

    assert [(event.event, event.data) for event in rest] == [("done", "stopped")]
    assert select(stopped, ".prose") == ["Kept"]
    assert select(stopped, ".ending .remark") == ["Stopped."]
    again = await client.post("/completion/2/stop", headers=HTMX)
    assert select(again, ".prose") == ["Kept"]


async def test_stop_before_the_first_token_ends_it(
    client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.will_say(PAUSE, "Never")
    await client.post("/completion", data={"prompt": "Hi"}, headers=HTMX)

    await client.post("/completion/2/stop", headers=HTMX)

    text = await client.get("/completion/2")
    assert text.text == "event: done\ndata: stopped\n\n"


async def test_stop_without_scripts_keeps_the_prompt_that_was_being_written(
    client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.will_say("Slow", PAUSE)
    await client.post("/completion", data={"prompt": "Hi"}, headers=HTMX)

    response = await client.post("/completion/2/stop", data={"prompt": "My next words"}, headers=BROWSER)

    assert response.status_code == 200
    assert select(response, "#prompt") == ["My next words"]
    assert select(response, "#composer button.send") == [""]


async def test_who_leaves_does_not_stop_the_answer(
    app: FastAPI, client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.will_say("One", PAUSE, " two")
    async with client.stream("POST", "/completion", data={"prompt": "Hi"}) as response:
        await anext(events(response))

    provider.go_on()

    text = await client.get("/completion/2")
    assert (
        "".join(line[6:] for line in text.text.splitlines() if line.startswith("data: ")) == "One twocomplete"
    )


async def test_the_conversation_so_far_is_sent_along(
    client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.will_say("Ada.")
    await client.post("/completion", data={"prompt": "Who wrote the first program?"})

    await client.post("/completion", data={"prompt": "When?", "conversation": "1"})

    assert [message["content"] for message in provider.asked[1][1:]] == [
        "Who wrote the first program?",
        "Ada.",
        "When?",
    ]
