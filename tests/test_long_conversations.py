"""Long conversations: a page shows their end, and older parts when asked for."""

import httpx2
import pytest

from app.db import Database
from tests.long_conversation import add_long_conversation, prompt
from tests.pages import attributes, select

STORES = ("sqlite", "postgresql")

BROWSER = {"Accept": "text/html"}
HTMX = {"HX-Request": "true"}
TURNS = 300


@pytest.fixture
async def address(database: Database) -> str:
    """Where a conversation of many turns is found."""
    async with database.writing() as session:
        conversation = await add_long_conversation(session, TURNS)
    return f"/conversations/{conversation.id}"


def shown(page: httpx2.Response) -> list[str]:
    """The prompts that a page shows."""
    return select(page, "article[data-role=user] .said")


async def test_a_page_shows_the_end_of_it_and_is_no_larger_than_another(
    address: str, client: httpx2.AsyncClient
) -> None:
    page = await client.get(address, headers=BROWSER)

    assert shown(page)[-1] == prompt(TURNS)
    assert 10 < len(shown(page)) < 40
    assert len(page.content) < 65_000
    assert attributes(page, ".retry", "type") == ["submit"]


@pytest.mark.parametrize("headers", [BROWSER, HTMX])
async def test_all_of_it_is_reached_in_order_by_the_links_to_what_is_older(
    address: str, client: httpx2.AsyncClient, headers: dict[str, str]
) -> None:
    page = await client.get(address, headers=BROWSER)
    found = shown(page)
    while links := attributes(page, "#earlier", "href"):
        page = await client.get(links[0], headers=headers)
        assert page.status_code == 200
        assert len(page.content) < 65_000
        assert len(select(page, "article[data-role=assistant]")) == len(shown(page))
        found = shown(page) + found

    assert found == [prompt(number) for number in range(1, TURNS + 1)]


async def test_what_is_sent_alone_is_a_piece_and_else_a_page_with_the_way_back(
    address: str, client: httpx2.AsyncClient
) -> None:
    (link,) = attributes(await client.get(address, headers=BROWSER), "#earlier", "href")

    piece = await client.get(link, headers=HTMX)
    page = await client.get(link, headers=BROWSER)

    assert select(piece, "html, main, form") == []
    assert attributes(page, ".later a", "href") == [address]
    assert shown(page) == shown(piece)


@pytest.mark.parametrize("until", [10**6, 0, -1, "x", 10**30])
async def test_what_is_older_than_nothing_is_not_there(
    address: str, client: httpx2.AsyncClient, until: object
) -> None:
    page = await client.get(f"{address}?until={until}", headers=BROWSER)

    assert page.status_code in (404, 422)
    assert len(select(page, ".problem")) == 1


async def test_a_message_of_another_conversation_leads_nowhere(
    address: str, client: httpx2.AsyncClient
) -> None:
    other = await client.post("/completion", data={"prompt": "Hi"})

    page = await client.get(f"/conversations/{other.headers['X-Conversation-Id']}?until=10", headers=BROWSER)

    assert page.status_code == 404


async def test_an_answer_longer_than_a_page_is_shown_whole_with_its_prompt(
    client: httpx2.AsyncClient, database: Database
) -> None:
    async with database.writing() as session:
        conversation = await add_long_conversation(session, 3)
    long = "word " * 20_000
    await client.post("/completion", data={"prompt": long, "conversation": f"{conversation.id}"})

    page = await client.get(f"/conversations/{conversation.id}", headers=BROWSER)

    assert shown(page) == [long.strip()]
    assert len(attributes(page, "#earlier", "href")) == 1
