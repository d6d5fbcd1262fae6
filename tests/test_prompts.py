"""What a model is sent of a conversation."""

from app.prompts import messages_for
from app.tables import Message


def said(role: str, text: str) -> Message:
    return Message(role=role, text=text, reasoning="never sent")


def contents(
    branch: list[Message], context_tokens: int | None = None, system_prompt: str = ""
) -> tuple[list[str], int]:
    messages, left_out = messages_for(branch, system_prompt=system_prompt, context_tokens=context_tokens)
    return [message["content"][0] for message in messages], left_out


def test_the_system_prompt_comes_first_and_silent_answers_are_left_out() -> None:
    branch = [said("user", "Hi"), said("assistant", ""), said("user", "Are you there?")]

    messages, left_out = messages_for(branch, system_prompt="Be kind.", context_tokens=None)

    assert messages == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
        {"role": "user", "content": "Are you there?"},
    ]
    assert left_out == 0


def test_without_a_system_prompt_there_is_none() -> None:
    assert contents([said("user", "Hi")], 100) == (["H"], 0)


def test_what_does_not_fit_is_left_out_from_the_beginning_in_whole_turns_and_counted() -> None:
    turns = [said("user" if n % 2 == 0 else "assistant", letter * 100) for n, letter in enumerate("abcd")]

    # 200 tokens, of which 0.6 * 3 = 360 bytes are for what was said.
    assert contents([*turns, said("user", "e")], 200) == (["c", "d", "e"], 2)


def test_the_last_prompt_is_always_sent() -> None:
    branch = [said("user", "a"), said("assistant", "b"), said("user", "c" * 10_000)]

    assert contents(branch, 100) == (["c"], 2)
