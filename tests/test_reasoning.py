"""Reasoning: told from the answer wherever it stands, and how long it took."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.reasoning import MOST_BLANKS, Thinking, thought

PIECES = [
    "<think>",
    "</think>",
    "<thinking>",
    "</thinking>",
    "<",
    "<thin",
    "</",
    ">",
    "\n",
    " ",
    "a word",
    "é",
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=10).map("".join)


def read(*pieces: str) -> tuple[str, str]:
    """The reasoning and the text of a text that comes in these pieces."""
    thinking = Thinking()
    deltas = [*(thinking.feed(piece) for piece in pieces), thinking.end()]
    return "".join(delta.reasoning for delta in deltas), "".join(delta.text for delta in deltas)


@pytest.mark.parametrize(
    ("said", "reasoning", "text"),
    [
        ("<think>Hm.</think>Yes.", "Hm.", "Yes."),
        ("<thinking>Hm.</thinking>Yes.", "Hm.", "Yes."),
        (" \n\n<think>Hm.</think>Yes.", "Hm.", "Yes."),
        ("<think>\nHm.\n</think>\n\nYes.", "\nHm.\n\n\n", "Yes."),
        ("<think>\n\n</think>\n\nYes.", "\n\n\n\n", "Yes."),
        ("<think>Hm, <b> and </thinking> and </thin", "Hm, <b> and </thinking> and </thin", ""),
        ("<think></think><think>Yes.</think>", "", "<think>Yes.</think>"),
        ("Yes. <think>Hm.</think>", "", "Yes. <think>Hm.</think>"),
        ("Hm.</think>Yes.", "", "Hm.</think>Yes."),
        ("<thinker>Yes.", "", "<thinker>Yes."),
        ("<think", "", "<think"),
        ("  Yes.", "", "  Yes."),
        ("\n ", "", "\n "),
        (" " * (MOST_BLANKS + 1) + "<think>", "", " " * (MOST_BLANKS + 1) + "<think>"),
    ],
)
def test_reasoning_between_tags_at_the_very_beginning_is_no_text(
    said: str, reasoning: str, text: str
) -> None:
    assert read(said) == (reasoning, text)


@given(TEXTS, st.lists(st.integers(min_value=0, max_value=60), max_size=8))
@example("<think>a</think>b", list(range(20)))
@example(" " * (MOST_BLANKS + 2) + "<think>", list(range(120)))
def test_however_it_is_cut_it_is_the_same(said: str, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(said)) for cut in cuts), len(said)]

    assert read(*(said[start:end] for start, end in pairwise(places))) == read(said)


def test_what_is_certain_is_not_held_back() -> None:
    thinking = Thinking()

    assert thinking.feed("<think>Hm</thi").reasoning == "Hm"
    assert thinking.feed("s").reasoning == "</this"
    assert thinking.feed("</think>Y").text == "Y"


@pytest.mark.parametrize(
    ("seconds", "running", "words"),
    [
        (None, True, "Thinking…"),
        (None, False, "Thoughts"),
        (0.0, False, "Thought for a moment"),
        (0.99, True, "Thought for a moment"),
        (1.4, False, "Thought for 1 second"),
        (12.2, True, "Thought for 12 seconds"),
        (59.6, False, "Thought for 1 minute"),
        (65.0, False, "Thought for 1 minute 5 seconds"),
        (3721.0, False, "Thought for 62 minutes 1 second"),
    ],
)
def test_the_length_of_time_is_told_in_words(seconds: float | None, running: bool, words: str) -> None:
    assert thought(seconds, running=running) == words
