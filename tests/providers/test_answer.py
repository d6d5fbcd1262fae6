"""Bytes into deltas: the same however they are cut."""

import json
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.providers.answer import AnswerReader
from app.providers.failures import Asked
from app.providers.provider import ProviderError

ASKED = Asked("the server at example.org", "gpt-9", with_key=False)

whole_characters = st.characters(exclude_categories=["Cs"])


def read(chunks: list[bytes]) -> tuple[str, str]:
    """The text and the reasoning of a whole answer."""
    reader = AnswerReader(ASKED)
    deltas = [delta for chunk in chunks for delta in reader.feed(chunk)] + list(reader.end())
    return "".join(delta.text for delta in deltas), "".join(delta.reasoning for delta in deltas)


def stream(*pieces: str, name: str = "content", ascii_only: bool = True) -> bytes:
    """The events of an answer in these pieces."""
    events = [
        json.dumps({"choices": [{"delta": {name: piece}}]}, ensure_ascii=ascii_only) for piece in pieces
    ]
    return "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"]).encode()


@pytest.mark.fault(10)
@pytest.mark.fault(11)
@given(st.lists(st.text(whole_characters)), st.booleans(), st.lists(st.integers(0, 2000)))
def test_however_it_is_cut_the_text_is_the_same(pieces: list[str], ascii_only: bool, cuts: list[int]) -> None:
    body = stream(*pieces, ascii_only=ascii_only)
    places = [0, *sorted(cut for cut in cuts if cut < len(body)), len(body)]

    chunks = [body[start:end] for start, end in pairwise(places)]

    assert read(chunks) == ("".join(pieces), "")


@given(st.text(whole_characters))
def test_characters_split_in_two_over_pieces_are_joined(text: str) -> None:
    units = text.encode("utf-16-le")
    halves = [units[at : at + 2].decode("utf-16-le", "surrogatepass") for at in range(0, len(units), 2)]

    assert read([stream(*halves)]) == (text, "")
    assert read([stream(*halves, name="reasoning")]) == ("", text)


@pytest.mark.fault(11)
@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["a\ud83d", "b"], "a\ufffdb"),
        (["a\ud83d"], "a\ufffd"),
        (["\ude00", "a"], "\ufffda"),
        (["\ud83d", "", "\ude00"], "😀"),
    ],
)
def test_half_a_character_without_its_other_half_is_replaced_once(pieces: list[str], text: str) -> None:
    assert read([stream(*pieces)])[0] == text


@pytest.mark.fault(11)
def test_bytes_that_are_no_text_are_replaced() -> None:
    body = b'data: {"choices":[{"delta":{"content":"a\xffb"}}]}\n\ndata: [DONE]\n\n'

    assert read([body])[0] == "a\ufffdb"


@given(st.binary(max_size=200))
def test_no_bytes_whatever_do_worse_than_a_plain_failure(noise: bytes) -> None:
    assume(b"[DONE]" not in noise)  # that is an answer, if an empty one

    with pytest.raises(ProviderError):
        read([b"data: {}\n\n", noise])


def test_what_came_at_one_go_with_a_failure_is_said_before_it() -> None:
    body = stream("One. ", "Two.").removesuffix(b"data: [DONE]\n\n") + b'data: {"error": {"code": 500}}\n\n'
    deltas = AnswerReader(ASKED).feed(body)

    assert next(deltas).text == "One. Two."
    with pytest.raises(ProviderError):
        next(deltas)
