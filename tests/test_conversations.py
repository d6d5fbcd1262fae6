"""Conversations: turns, branches, titles, drafts; each by its owner only."""

import asyncio

import httpx2
import pytest
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.exc import DBAPIError

from app import branches, conversations
from app.answers import Ending, finish
from app.conversations import Busy, NotLast, TokenUsed, Turn, title_of
from app.db import Database
from app.tables import Message, User

STORES = ("sqlite", "postgresql")

USER = 1


async def ask(database: Database, prompt: str = "Hi", after: Turn | None = None, **named: str) -> Turn:
    """A turn whose answer has ended."""
    async with database.writing() as session:
        conversation = await conversations.find(session, USER, after.conversation.id) if after else None
        turn = await conversations.add_turn(
            session,
            USER,
            prompt=prompt,
            model="m",
            conversation=conversation,
            form_token=named.get("form_token"),
        )
        await finish(session, turn.answer.id, Ending("complete"))
    return turn


async def test_a_conversation_is_a_branch_of_turns_in_order(database: Database) -> None:
    first = await ask(database, "One")
    await ask(database, "Two", after=first)

    async with database.reading() as session:
        branch = await branches.branch(session, USER, first.conversation.id)
        until = await branches.branch(session, USER, first.conversation.id, until=first.prompt.id)

    assert [(m.role, m.text) for m in branch] == [
        ("user", "One"),
        ("assistant", ""),
        ("user", "Two"),
        ("assistant", ""),
    ]
    assert [m.text for m in until] == ["One"]


async def test_a_retry_stands_beside_the_earlier_answer_and_is_the_one_shown(database: Database) -> None:
    turn = await ask(database)

    async with database.writing() as session:
        again = await conversations.retry(session, USER, turn.answer.id, model="m2")
    assert again
    async with database.reading() as session:
        branch = await branches.branch(session, USER, turn.conversation.id)

    assert [m.id for m in branch] == [turn.prompt.id, again.answer.id]
    assert again.answer.parent_id == turn.answer.parent_id


async def test_only_the_newest_answer_can_be_tried_again_and_only_when_it_has_ended(
    database: Database,
) -> None:
    first = await ask(database)
    second = await ask(database, after=first)

    with pytest.raises(NotLast):
        async with database.writing() as session:
            await conversations.retry(session, USER, first.answer.id, model="m")
    async with database.writing() as session:
        running = await conversations.retry(session, USER, second.answer.id, model="m")
    assert running
    with pytest.raises(Busy):
        async with database.writing() as session:
            await conversations.retry(session, USER, running.answer.id, model="m")


async def test_an_answer_whose_prompt_is_gone_cannot_be_tried_again(database: Database) -> None:
    turn = await ask(database)
    async with database.writing() as session:
        await session.execute(update(Message).where(Message.id == turn.answer.id).values(parent_id=None))
        await session.execute(delete(Message).where(Message.id == turn.prompt.id))

    with pytest.raises(NotLast):
        async with database.writing() as session:
            await conversations.retry(session, USER, turn.answer.id, model="m")


async def test_a_prompt_while_an_answer_runs_is_refused_and_leaves_nothing(database: Database) -> None:
    async with database.writing() as session:
        turn = await conversations.add_turn(session, USER, prompt="Hi", model="m")
    with pytest.raises(Busy):
        await ask(database, "More", after=turn)

    async with database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(Message)) == 2


async def test_a_token_sends_one_prompt(database: Database) -> None:
    first = await ask(database, "Hi", form_token="t")
    again = await ask(database, "Hi", form_token="t")

    assert (again.fresh, again.prompt.id) == (False, first.prompt.id)
    with pytest.raises(TokenUsed):
        await ask(database, "Other", form_token="t")


async def test_two_users_may_have_the_same_token(database: Database) -> None:
    await ask(database, "Hi", form_token="t")
    async with database.writing() as session:
        session.add(User(id=2, name="other"))
        await session.flush()

        turn = await conversations.add_turn(session, 2, prompt="Mine", model="m", form_token="t")

    assert turn.fresh


async def test_the_list_has_the_latest_first_and_only_ones_own(database: Database) -> None:
    first, second = await ask(database, "One"), await ask(database, "Two")
    await ask(database, "Three", after=first)

    async with database.reading() as session:
        mine = await conversations.listed(session, USER)
        theirs = await conversations.listed(session, 2)

    assert [c.id for c in mine] == [first.conversation.id, second.conversation.id]
    assert theirs == []


async def test_a_draft_is_kept_until_its_form_is_sent(database: Database) -> None:
    async def keep(text: str, conversation_id: int | None, form_token: str) -> None:
        async with database.writing() as session:
            await conversations.keep_draft(
                session, USER, text, conversation_id=conversation_id, form_token=form_token
            )

    async def kept(conversation_id: int | None) -> str:
        async with database.reading() as session:
            if conversation_id is None:
                return await conversations.draft(session, USER)
            found = await conversations.find(session, USER, conversation_id)
            assert found
            return found.draft

    await keep("Hel", None, "t1")
    assert await kept(None) == "Hel"
    turn = await ask(database, "Hello", form_token="t1")
    assert await kept(None) == ""
    await keep("Hello", None, "t1")  # was under way when the form was sent
    assert await kept(None) == ""
    await keep("More", turn.conversation.id, "t2")
    assert await kept(turn.conversation.id) == "More"
    assert await kept(None) == ""


@pytest.mark.fault(26)
async def test_a_prompt_that_waits_until_its_conversation_is_deleted_finds_it_gone(
    client: httpx2.AsyncClient, database: Database, store: str
) -> None:
    if store.startswith("sqlite"):
        pytest.skip("one transaction writes at a time")
    turn = await ask(database)
    waits = text("select count(*) from pg_stat_activity where wait_event_type = 'Lock'")
    fields = {"prompt": "And then?", "conversation": str(turn.conversation.id)}

    async with database.writing() as session, asyncio.timeout(10):
        await conversations.delete(session, USER, turn.conversation.id)
        sending = asyncio.create_task(client.post("/completion", data=fields))
        async with database.writer.connect() as other:
            other = await other.execution_options(isolation_level="AUTOCOMMIT")
            while not await other.scalar(waits):
                await session.execute(text("select 1"))
    answered = await sending

    assert answered.status_code == 404
    assert "deleted" in answered.json()["detail"]


async def test_who_reads_cannot_write(database: Database) -> None:
    async with database.reading() as session:
        session.add(User(id=3, name="x"))
        with pytest.raises(DBAPIError, match=r"read-?only"):
            await session.flush()


@pytest.mark.parametrize(
    ("prompt", "title"),
    [
        ("Hello", "Hello"),
        ("  One \t line\nand another", "One line"),
        ("\n\nLate", "Late"),
        ("word " * 30, "word word word word word word word word word word word…"),
        ("x" * 100, "x" * 59 + "…"),
        ("\u200b\u2060\u00ad", "Untitled"),
    ],
)
def test_a_conversation_is_named_after_its_first_line(prompt: str, title: str) -> None:
    assert title_of(prompt) == title
