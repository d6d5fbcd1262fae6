"""Text from outside: fit to be stored, however it was cut."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.text import Cleaner, clean, joined

anything = st.text(alphabet=st.characters(codec=None, exclude_categories=()), max_size=60)


def test_line_ends_become_lf_and_what_is_no_text_is_replaced() -> None:
    assert clean("a\r\nb\rc\td\x00\x1b[31m\ud800\uffff") == "a\nb\nc\td\ufffd\ufffd[31m\ufffd\ufffd"


def test_the_halves_of_a_pair_become_one_character() -> None:
    assert joined("\ud83d\ude00") == "😀"


@given(anything)
def test_clean_text_can_be_encoded_and_is_clean(text: str) -> None:
    cleaned = clean(text)

    cleaned.encode()
    assert clean(cleaned) == cleaned


@given(anything, st.lists(st.integers(min_value=0, max_value=60), max_size=10))
def test_however_it_is_cut_the_text_is_the_same(text: str, cuts: list[int]) -> None:
    edges = sorted({0, len(text), *(cut for cut in cuts if cut <= len(text))})
    cleaner = Cleaner()

    fed = "".join(cleaner.feed(text[start:end]) for start, end in pairwise(edges)) + cleaner.end()

    assert fed == clean(joined(text))
