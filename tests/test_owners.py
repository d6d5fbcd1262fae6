"""What belongs to somebody else is not there: not to be read, stopped, tried again or deleted."""

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import select, text

from app import conversations
from app.deps import Chat
from app.providers.scripted import PAUSE, ScriptedProvider
from app.tables import Message, User

STORES = ("sqlite", "postgresql")

OTHER = 2


@pytest.fixture
async def theirs(app: FastAPI, client: httpx2.AsyncClient, provider: ScriptedProvider) -> conversations.Turn:
    """Another user's conversation, with an answer that is being written."""
    chat: Chat = app.state.chat
    provider.will_say("Their secret", PAUSE)
    async with chat.database.writing() as session:
        session.add(User(id=OTHER, name="other"))
        await session.flush()
        turn = await conversations.add_turn(
            session,
            OTHER,
            prompt="Their prompt",
            model="scripted",
            worker=chat.generations.worker,
            form_token="theirs",
        )
        messages = await chat.generations.prepare(session, turn.answer)
    chat.generations.start(turn.answer, messages)
    return turn


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("GET", "/conversations/{c}"),
        ("GET", "/conversations/{c}/live"),
        ("POST", "/conversations/{c}/delete"),
        ("POST", "/completion/{a}/stop"),
        ("GET", "/messages/{a}"),
        ("GET", "/messages/{a}/text"),
        ("POST", "/messages/{a}/retry"),
    ],
)
async def test_what_is_not_yours_is_not_there_and_stays_as_it_is(
    app: FastAPI, client: httpx2.AsyncClient, theirs: conversations.Turn, method: str, address: str
) -> None:
    path = address.format(c=theirs.conversation.id, a=theirs.answer.id)

    response = await client.request(method, path, headers={"Accept": "text/html"})

    assert response.status_code == 404
    assert "Their" not in response.text
    chat: Chat = app.state.chat
    async with chat.database.reading() as session:
        statuses = (await session.scalars(select(Message.status).order_by(Message.id))).all()
    assert statuses == ["complete", "generating"]


@pytest.mark.fault(25)
@pytest.mark.parametrize("address", ["/completion/{a}", "/completion/{a}/fragments"])
async def test_the_stream_of_anothers_answer_is_that_of_none(
    client: httpx2.AsyncClient, theirs: conversations.Turn, address: str
) -> None:
    yours = await client.get(address.format(a=theirs.answer.id))
    nobodys = await client.get(address.format(a=4711))

    assert yours.text == nobodys.text
    assert yours.status_code == 200


async def test_anothers_conversation_cannot_be_gone_on_with(
    client: httpx2.AsyncClient, theirs: conversations.Turn
) -> None:
    response = await client.post(
        "/completion", data={"prompt": "Hi", "conversation": str(theirs.conversation.id)}
    )

    assert response.status_code == 404


async def test_anothers_form_token_and_list_are_nothing_to_you(
    client: httpx2.AsyncClient, theirs: conversations.Turn, app: FastAPI
) -> None:
    response = await client.post(
        "/completion", data={"prompt": "Their prompt", "form_token": "theirs"}, headers={"HX-Request": "true"}
    )

    assert response.status_code == 200
    assert response.headers["hx-push-url"] != f"/conversations/{theirs.conversation.id}"
    home = await client.get("/", headers={"Accept": "text/html"})
    assert f'/conversations/{theirs.conversation.id}"' not in home.text
    chat: Chat = app.state.chat
    async with chat.database.reading() as session:
        assert await session.scalar(text("select count(*) from conversations")) == 2
