"""What a model is sent of a conversation."""

from app.prompts import messages_for
from app.tables import Message


def said(role: str, text: str) -> Message:
    return Message(role=role, text=text, reasoning="never sent")


def test_the_system_prompt_comes_first_and_silent_answers_are_left_out() -> None:
    branch = [said("user", "Hi"), said("assistant", ""), said("user", "Hello?")]

    messages = messages_for(branch, system_prompt="Be kind.", context_tokens=None)

    assert [(m["role"], m["content"]) for m in messages] == [
        ("system", "Be kind."),
        ("user", "Hi"),
        ("user", "Hello?"),
    ]


def test_without_a_system_prompt_there_is_none() -> None:
    assert messages_for([said("user", "Hi")], system_prompt="", context_tokens=100) == [
        {"role": "user", "content": "Hi"}
    ]


def test_what_does_not_fit_is_left_out_from_the_beginning_in_whole_turns() -> None:
    branch = [
        said("user", "a" * 100),
        said("assistant", "b" * 100),
        said("user", "c" * 100),
        said("assistant", "d" * 100),
        said("user", "e"),
    ]

    # 200 tokens, of which 0.6 * 3 = 360 characters are for what was said.
    messages = messages_for(branch, system_prompt="", context_tokens=200)

    assert [m["content"][0] for m in messages] == ["c", "d", "e"]


def test_the_last_prompt_is_always_sent() -> None:
    messages = messages_for(
        [said("user", "a"), said("assistant", "b"), said("user", "c" * 10_000)],
        system_prompt="",
        context_tokens=100,
    )

    assert [m["content"][0] for m in messages] == ["c"]
