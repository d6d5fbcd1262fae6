"""Ends: what is put where a text stands, without a parser, is what either parser would have shown."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.markdown import NOTHING, grown, growth, render
from tests.test_growth import in_steps

pytestmark = pytest.mark.usefixtures("parser")

# What texts are made of, at random, with `¦` between.
WORDS = "word¦ and¦ the¦foo bar¦ a¦.¦,¦ (see¦ don’t¦'s¦ 42¦1¦ ¦    return 1"
MARKS = (
    "- ¦1. ¦> ¦# ¦*¦**¦_¦`¦~~¦$¦$$\n¦\\[\n¦\\(¦\\)¦|¦---¦===¦\\¦[¦]¦](¦)¦!¦:¦]:¦[^1]¦[^1]: ¦"
    " [a]: http://a.example\n¦x[a](foo¦[x] ¦```py\n¦ ```py\n¦```¦~~~\n¦\n¦\n\n¦\n    ¦\t¦"
    '| a | b |\n|---|---|\n¦"""¦ -¦–¦<¦<b>¦<div>¦<!--¦<http://x¦www.¦http¦://¦a@b¦.com¦&amp¦;¦'
    "é¦ 漢字¦\xa0¦\ufeff¦\r¦\x00¦\u200b"
)


@pytest.fixture(autouse=True)
def _settles_at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "any_size" in request.keywords:
        monkeypatch.setattr(growth, "_SETTLED_FROM", 1)


@pytest.mark.any_size
@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.one_of(st.sampled_from(WORDS.split("¦")), st.sampled_from(f"{WORDS}¦{MARKS}".split("¦"))),
        max_size=25,
    ).map("".join),
    st.integers(min_value=1, max_value=4),
)
def test_words_are_shown_where_they_belong_however_the_text_goes_on(text: str, letters: int) -> None:
    in_steps(text, list(range(0, len(text), letters)), running=True)


@pytest.mark.any_size
@pytest.mark.parametrize(
    "text",
    [
        "* <div> x, 42 and ",
        "\n  ```py\n  see\n   more",
        "the)foo\n  ```py\none\n\tw\n w",
        "foo bar's\n    [ 42 x,]: more",
        "- c\n\n\n      d\n\ne",
        "> 1. a\n> 1 b\n>  1. c",
        "| a | b |\n|---|---|\n| c | foo | foo bar",
        "see www.example.com and that. com",
        "a x[a](foo bar) b",
        "and\n$$\n- b c\n\nd",
        "- a\n$$\n (b c\n   # d e\n\n f",
        "\n    | a | b |\n|---|---|\n\t| a | b |\n|---|---|\nword",
        "a\n2. b | c\n---|---\nword word",
        "a | b\n---|---\nc\n\u00a0| d",
        "a | b\n---|---\nc\n\u00a0- d",
        " x,|---|---|\n``\n---\n t",
        "[foo\n```py\nbar]: baz\n```\n\nfoo [foo\nbar]",
        "> ```\n> aaa\n\nb,[foo][ref\\[]\n\n[ref\\[]: /uri\n#",
    ],
)
def test_what_looks_like_words_and_is_more_is_minded(text: str) -> None:
    in_steps(text, list(range(len(text))), running=True)


def test_a_long_piece_of_code_needs_no_parser_either(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "Code:\n\n```py\n" + "x = [1, 2]\n" * 1_000
    before = grown(NOTHING, text, running=True)
    expected = render(text + "y = x", running=True)

    def unexpected(text: str) -> str:
        raise AssertionError(len(text))

    monkeypatch.setattr(growth, "to_html", unexpected)

    assert list(grown(before, text + "y = x", running=True).blocks) == expected


def test_what_turns_too_intricate_as_its_line_goes_on_is_shown_as_it_is() -> None:
    text = "Some words and *mark" + "\\(" * 400
    before = grown(NOTHING, text, running=True)

    for more in ("> " * 200 + "x", " more" * 500, "\\(" * 40_000):
        assert list(grown(before, text + more, running=True).blocks) == render(text + more, running=True)


@pytest.mark.parametrize("row", ["and so on\n", "so it *goes* on\n"])
def test_below_a_wide_row_a_short_text_turns_too_intricate_too(row: str) -> None:
    text = "|" * 600 + "\n"
    rendering = NOTHING

    for number in range(1, 60 * len(row)):
        whole = text + (row * 60)[:number]
        rendering = grown(rendering, whole, running=True)
        assert list(rendering.blocks) == render(whole, running=True)
    assert "too intricate" in rendering.blocks[0]


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("Some *words* and ", "then (as they come more, until the end.\n"),
        ("- an item\n- and an", "other"),
        ("## A heading of", " words"),
        ("> quoted words", " that go on, don’t they?"),
        (
            "Code:\n\n```py\nimport re\n",
            "\n\ndef pattern(a: str) -> str:\n    return f'<{a}> & \"b\"'  # so\n",
        ),
    ],
)
def test_words_and_open_code_need_no_parser(text: str, more: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = grown(NOTHING, text, running=True)
    expected = render(text + more, running=True)

    def unexpected(text: str) -> str:
        raise AssertionError(text)

    monkeypatch.setattr(growth, "to_html", unexpected)
    for end in range(1, len(more) + 1):
        before = grown(before, text + more[:end], running=True)

    assert list(before.blocks) == expected
