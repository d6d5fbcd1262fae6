"""What a model thought: on its pages, folded and timed, and nowhere else."""

import httpx2
import pytest
from bs4 import BeautifulSoup

from app.providers import Delta, ProviderError
from app.providers.scripted import PAUSE, ScriptedProvider
from tests.pages import attributes, events, select

BROWSER = {"Accept": "text/html"}
HTMX = {"HX-Request": "true"}
PIECES = ["<think>", "Secretly, *hm*.", "</think>", "\n\nYes."]


async def ask(client: httpx2.AsyncClient, **fields: str) -> None:
    """Send a prompt and wait for the end of its answer."""
    await client.post("/completion", data={"prompt": "Hi", **fields})


async def test_an_ended_answer_shows_its_thoughts_folded_formatted_and_timed(
    client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.will_say(*PIECES)
    await ask(client)

    page = await client.get("/conversations/1", headers=BROWSER)

    assert select(page, "details.reasoning:not([open]) summary") == ["Thought for a moment"]
    assert select(page, "details.reasoning .prose em") == ["hm"]
    assert select(page, "article > .prose") == ["Yes."]
    assert len(select(page, ".thoughts[tabindex='0'][aria-label]")) == 1


async def test_an_ended_answer_without_thoughts_has_no_place_for_them(
    client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.will_say("<think>\n\n</think>\n\nYes.")
    await ask(client)

    page = await client.get("/conversations/1", headers=BROWSER)

    assert select(page, "article > .prose") == ["Yes."]
    assert select(page, ".reasoning") == []


async def test_a_page_of_a_running_answer_goes_on_from_what_it_shows_of_both(
    client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.will_say(Delta(reasoning="Hm."), "Yes", PAUSE)
    async with client.stream("POST", "/completion", data={"prompt": "Hi"}) as response:
        await anext(events(response))

        page = await client.get("/conversations/1", headers=BROWSER)

    assert attributes(page, ".stream", "hx-sse:connect") == ["/completion/2/fragments?from=3-3"]
    assert select(page, "#message-2-thought") == ["Thought for a moment"]
    assert select(page, "#message-2r-blocks .block") == ["Hm."]


async def test_a_page_that_waits_has_an_empty_place_to_stream_into(
    client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.will_say(PAUSE, "Yes")

    page = await client.post("/completion", data={"prompt": "Hi"}, headers=HTMX)

    assert select(page, "details#message-2-reasoning summary#message-2-thought") == ["Thinking…"]
    assert select(page, "#message-2r-blocks", strip=False) == [""]


@pytest.mark.parametrize("seen", ["4-0", "end"])
async def test_who_reads_fragments_again_gets_what_is_missing(
    client: httpx2.AsyncClient, provider: ScriptedProvider, seen: str
) -> None:
    provider.will_say(*PIECES)
    await ask(client)

    response = await client.get("/completion/2/fragments?from=1", headers={"Last-Event-ID": seen})

    assert ("hm" in response.text) == (seen == "4-0")
    assert "Yes" not in response.text
    assert response.text.endswith("event: done\ndata: complete\n\n")


async def test_thoughts_are_in_nothing_but_the_page(
    client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.will_say(*PIECES)
    provider.will_say("And more.")

    first = await client.post("/completion", data={"prompt": "Hi"})
    await ask(client, conversation="1")
    page = await client.get("/conversations/1", headers=BROWSER)
    text = await client.get("/messages/2/text")
    resumed = await client.get("/completion/2")

    assert "Secretly" in page.text
    assert attributes(page, ".ending clipboard-copy", "value") == ["Yes.", "And more."]
    assert text.text == "Yes."
    assert first.text == resumed.text == "id: 4\ndata: Yes.\n\nevent: done\ndata: complete\n\n"
    assert "Secretly" not in str(provider.asked)
    assert "Secretly" not in str(select(page, "title, #conversations"))


@pytest.mark.fault(14)
@pytest.mark.parametrize(
    ("said", "remark"),
    [
        (("<think>Hm.",), "The model only thought, and gave no answer."),
        ((Delta(reasoning="Hm."),), "The model only thought, and gave no answer."),
        ((Delta(reasoning=" \n"),), "The model gave an empty answer."),
        ((Delta(finish="stop"),), "The model gave an empty answer."),
        (("Half", Delta(finish="length")), "Cut off at the limit of its length."),
        (("Half", Delta(finish="content_filter")), "Cut off by the provider’s content filter."),
    ],
)
async def test_an_answer_that_is_not_as_it_should_be_says_so(
    client: httpx2.AsyncClient, provider: ScriptedProvider, said: tuple[str | Delta, ...], remark: str
) -> None:
    provider.will_say(*said)
    await ask(client)

    page = await client.get("/conversations/1", headers=BROWSER)

    assert select(page, ".ending .remark") == [remark]


async def test_thoughts_before_a_failure_are_kept(
    client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.will_say("<think>Hm.", ProviderError("The model is away.", "interrupted"))
    await ask(client)

    page = await client.get("/conversations/1", headers=BROWSER)

    assert select(page, ".ending .problem") == ["The model is away."]
    assert select(page, ".reasoning .prose") == ["Hm."]


@pytest.mark.parametrize("path", ["/conversations/1", "/conversations/1/live", "/completion/2/fragments"])
async def test_hostile_thoughts_are_shown_as_text(
    client: httpx2.AsyncClient, provider: ScriptedProvider, path: str
) -> None:
    evil = (
        '</div></details><script>alert(1)</script><hx-partial hx-target="body">x</hx-partial>'
        '<span slot="thought">y</span><slot></slot></template>'
    )
    provider.will_say(Delta(reasoning=f"{evil}\n\n[a](javascript:x) ![b](http://c.d/)"), PAUSE, "Yes.")
    await client.post("/completion", data={"prompt": "Hi"}, headers=HTMX)
    async with client.stream("GET", "/completion/2/fragments") as stream:
        async for event in events(stream):
            if "alert(1)" in event.data:
                break
    provider.go_on()

    response = await client.get(path, headers=BROWSER)

    soup = BeautifulSoup(response.text, "html.parser")
    thoughts = BeautifulSoup("".join(str(place) for place in soup.select(".block")), "html.parser")
    assert "alert(1)" in thoughts.get_text()
    assert "<slot></slot>" in thoughts.get_text()
    assert (
        thoughts.select("script, hx-partial, [slot], slot, template, img, details, [href^=javascript]") == []
    )
    assert all("alert" not in script.get_text() for script in soup.select("script"))


async def test_without_scripts_thoughts_stream_before_the_text_and_are_timed_behind_it(
    client: httpx2.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.will_say("<think>Hm, ", PAUSE, "well.</think>", PAUSE, "Yes.", PAUSE, Delta(reasoning="Late."))
    await client.post("/completion", data={"prompt": "Hi"}, headers=BROWSER)

    body = ""
    waits = ["Hm,", "well.", "Yes."]
    async with client.stream("GET", "/conversations/1/live", headers=BROWSER) as response:
        async for piece in response.aiter_text():
            body += piece
            if waits and waits[0] in body:
                assert ("</span>\n</div>" in body.partition("Hm,")[2]) == (waits[0] == "Yes.")
                waits.pop(0)
                provider.go_on()

    order = ["Thinking…", "Hm, ", "well.", "Thought for a moment", "Yes.", 'class="ending"']
    places = [body.index(part) for part in order]
    assert waits == []
    assert places == sorted(places)
    assert "Late." not in body
    assert "Late." in (await client.get("/conversations/1", headers=BROWSER)).text
