"""Tables: users, their conversations, messages, the chunks of answers that still run, and who writes."""

from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import (
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Role = Literal["user", "assistant"]
Status = Literal["generating", "complete", "stopped", "interrupted", "failed"]


# SQLite gives out ids only where the type is exactly INTEGER.
_INTEGER = BigInteger().with_variant(Integer, "sqlite")


class UTCDateTime(TypeDecorator[datetime]):
    """An instant, kept and given back in UTC; SQLite has no time zones of its own."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Drop the zone after going over to UTC."""
        return value.astimezone(UTC).replace(tzinfo=None) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Say that it is UTC."""
        return value.replace(tzinfo=UTC) if value else None


class Table(DeclarativeBase):
    """What all tables share."""

    # Named constraints, since a later migration can only drop what has a name.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - as SQLAlchemy reads it
        datetime: UTCDateTime,
        str: Text,
        int: _INTEGER,
        Role: String(16),
        Status: String(16),
    }


class User(Table):
    """Somebody who owns conversations. Without accounts there is one, whose id is 1."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    draft: Mapped[str] = mapped_column(default="")
    """What is being written in a conversation that is yet to begin."""


class Conversation(Table):
    """A conversation, named after its first prompt."""

    __tablename__ = "conversations"
    # An id is never used again: a page that is still open in some tab must not reach a stranger's rows.
    __table_args__ = (Index(None, "user_id", "updated_at"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    title: Mapped[str]
    draft: Mapped[str] = mapped_column(default="")
    """What is being written and not yet sent."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Message(Table):
    """A prompt or an answer.

    Messages form a tree by `parent_id`: a prompt follows an answer, an answer follows a prompt, and
    a second try is a second answer to the same prompt. While an answer is `generating` its text is in
    chunks; afterwards it is here.
    """

    __tablename__ = "messages"
    __table_args__ = (
        Index(None, "conversation_id"),
        Index(None, "parent_id"),
        Index(None, "user_id", "form_token", unique=True),
        Index(None, "status"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"))
    role: Mapped[Role]
    status: Mapped[Status]
    text: Mapped[str] = mapped_column(default="")
    reasoning: Mapped[str] = mapped_column(default="")
    reasoning_seconds: Mapped[float | None]
    """How long it took, up to the first text behind it; None while that has not come, or is not known."""
    error: Mapped[str] = mapped_column(default="")
    """Why it failed or was interrupted, in words for the person who asked."""
    finish: Mapped[str | None]
    """The provider's word for how it ended, where it gave one: `stop`, `length`, `content_filter`."""
    model: Mapped[str] = mapped_column(default="")
    left_out: Mapped[int] = mapped_column(default=0)
    """How many earlier messages the model was not sent, since they did not fit."""
    prompt_tokens: Mapped[int | None]
    completion_tokens: Mapped[int | None]
    worker: Mapped[str | None] = mapped_column(String(32))
    """The process that writes this answer, or wrote it; None while none has taken it up."""
    attempt: Mapped[int] = mapped_column(default=1)
    """How often it was begun or gone on with. Who writes must be this worker, at this attempt."""
    waiting: Mapped[str] = mapped_column(default="")
    """What a running answer waits for, in words, before its first token."""
    form_token: Mapped[str | None]
    """The one-time token of the form that sent a prompt: one prompt, one message."""
    created_at: Mapped[datetime]

    @property
    def running(self) -> bool:
        """Whether this is an answer that is still being written."""
        return self.status == "generating"

    @property
    def broken(self) -> bool:
        """Whether this is an answer that was cut short, with a text to go on from."""
        cut = self.status in ("interrupted", "stopped") or self.finish == "length"
        return self.role == "assistant" and not self.running and cut and bool(self.text)


class Chunk(Table):
    """A piece of an answer that still runs, at a position (in characters) of its text or its reasoning."""

    __tablename__ = "chunks"

    message_id: Mapped[int] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[Literal["text", "reasoning"]] = mapped_column(String(16), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


class Worker(Table):
    """A process that writes answers. While it has any, `beat` grows at least twice a second.

    Whether it lives is told by that alone, never by a clock: clocks jump, and differ between hosts.
    """

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    beat: Mapped[int]


# The same for what goes past the ORM, which takes longer for a row than all else that a token costs.
USERS, CONVERSATIONS, MESSAGES, CHUNKS = (
    Table.metadata.tables[kind.__tablename__] for kind in (User, Conversation, Message, Chunk)
)


def now() -> datetime:
    """The time, for `created_at` and `updated_at`."""
    return datetime.now(UTC)
