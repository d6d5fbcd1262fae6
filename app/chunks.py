"""Chunks: what is stored of running answers, behind what is known of each."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ARRAY, BigInteger, ColumnElement, Select, bindparam, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import Statements
from app.states import Answer
from app.tables import Chunk


async def new_chunks(session: Statements, known: Mapping[int, Answer]) -> Sequence[Any]:
    """The rows behind what is known of each answer; those of an answer in order."""
    if not known:
        return []
    connection = session if isinstance(session, AsyncConnection) else await session.connection()
    lengths = [(message_id, len(one.text), len(one.reasoning)) for message_id, one in known.items()]
    if connection.dialect.name == "sqlite":
        # It knows no lists, and is near.
        each = [(await connection.execute(_OF_ONE, _parameters(one))).all() for one in lengths]
        return [row for rows in each for row in rows]
    columns = [list(column) for column in zip(*lengths, strict=True)]
    return (await connection.execute(_OF_MANY, _parameters(columns))).all()


def _parameters(values: Sequence[Any]) -> dict[str, Any]:
    return {f"known_{name}": value for name, value in zip(_KNOWN, values, strict=True)}


def _behind(
    message_id: ColumnElement[int], text: ColumnElement[int], reasoning: ColumnElement[int]
) -> Select[int, str, int, str]:
    """The rows of an answer behind so many characters of its text and of its reasoning."""
    length = case((Chunk.kind == "text", text), else_=reasoning)
    rows = select(Chunk.message_id, Chunk.kind, Chunk.position, Chunk.text)
    return rows.where(Chunk.message_id == message_id, Chunk.position >= length).order_by(Chunk.position)


_KNOWN = ("id", "text", "reasoning")
_OF_ONE = _behind(*(bindparam(f"known_{name}", type_=BigInteger) for name in _KNOWN))
_LISTS = func.unnest(*(bindparam(f"known_{name}", type_=ARRAY(BigInteger)) for name in _KNOWN))
_OF_MANY = _behind(*_LISTS.table_valued(*_KNOWN, name="known").render_derived().c)
