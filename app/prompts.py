"""Prompts: from a conversation to the messages that a model is sent."""

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from app import answers, branches
from app.providers import ChatMessage, Provider
from app.tables import Message, Role

BYTES_PER_TOKEN = 3
"""A low guess, so that what is sent fits: English has about four, other scripts three or more a character."""

ANSWER_SHARE = 0.4
"""How much of a model's context is left for its answer."""


GO_ON = (
    "Your last answer broke off. Go on exactly where it ended, in the middle of a word if need be. "
    "Repeat nothing of it and say nothing else."
)


class Said(Protocol):
    """A message, as far as a model is told of it."""

    @property
    def role(self) -> Role:
        """Whose it is."""

    @property
    def text(self) -> str:
        """What it says."""


async def prompting(
    session: AsyncSession, answer: Message, *, system_prompt: str, provider: Provider
) -> list[ChatMessage]:
    """What a model is sent for an answer, or to go on with one; what is left out is noted on it."""
    branch = await branches.said(session, answer.user_id, answer.conversation_id, until=answer.parent_id)
    messages, left_out = messages_for(
        branch, system_prompt=system_prompt, context_tokens=provider.context_tokens
    )
    if left_out != answer.left_out:
        await answers.note(session, answer.id, left_out=left_out)
    if answer.text:
        messages.append({"role": "assistant", "content": answer.text})
        if not provider.prefills:
            messages.append({"role": "user", "content": GO_ON})
    return messages


def messages_for(
    branch: Sequence[Said], *, system_prompt: str, context_tokens: int | None
) -> tuple[list[ChatMessage], int]:
    """The system prompt and the newest messages that fit the model's context; how many did not fit.

    The last prompt is sent always; answers without text, and reasoning, never.
    """
    said: list[ChatMessage] = [{"role": m.role, "content": m.text} for m in branch if m.text]
    system: list[ChatMessage] = [{"role": "system", "content": system_prompt}] if system_prompt else []
    first = first_that_fits(said, context_tokens, len(system_prompt.encode()))
    return system + said[first:], first


def first_that_fits(said: Sequence[ChatMessage], context_tokens: int | None, already: int) -> int:
    """Where to begin so that what follows fits; it begins with a prompt, never with an answer."""
    if context_tokens is None:
        return 0
    room = context_tokens * (1 - ANSWER_SHARE) * BYTES_PER_TOKEN - already
    first = len(said) - 1
    for number in range(len(said) - 1, -1, -1):
        room -= len(said[number]["content"].encode())
        if room < 0:
            break
        if said[number]["role"] == "user":
            first = number
    return max(first, 0)
