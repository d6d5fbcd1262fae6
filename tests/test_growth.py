"""Growth: what is rendered step by step is what is rendered whole, and costs less."""

from textwrap import indent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.markdown import NOTHING, Rendering, grown, growth, highlighting, render
from app.markdown.parsers import to_html
from tests.test_fragments import DOCUMENTS

CUTS = st.lists(st.integers(min_value=0, max_value=300), max_size=12)
PARAGRAPHS = "".join(
    f"## Part {n}\n\nSome *words* and `code`.\n\n- a\n- b\n\n```py\nx = {n}\n```\n\n" for n in range(1200)
)


@pytest.fixture(autouse=True)
def _settles_at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "any_size" in request.keywords:
        monkeypatch.setattr(growth, "_SETTLED_FROM", 1)


def in_steps(text: str, cuts: list[int], *, running: bool) -> Rendering:
    rendering = NOTHING
    for cut in sorted(cut for cut in cuts if cut < len(text)):
        rendering = grown(rendering, text[:cut], running=True)
        assert list(rendering.blocks) == render(text[:cut], running=True)
    return grown(rendering, text, running=running)


@pytest.mark.any_size
@settings(max_examples=300, deadline=None)
@given(DOCUMENTS, CUTS, st.booleans())
def test_in_steps_it_is_the_same_as_at_once(text: str, cuts: list[int], running: bool) -> None:
    assert list(in_steps(text, cuts, running=running).blocks) == render(text, running=running)


@pytest.mark.any_size
@given(DOCUMENTS, DOCUMENTS)
def test_what_is_known_of_another_text_does_no_harm(text: str, other: str) -> None:
    assert list(grown(grown(NOTHING, other, running=True), text, running=False).blocks) == render(text)


@pytest.mark.any_size
@pytest.mark.parametrize(
    "text",
    [
        "[a] and [b][a]\n\nText.\n\nMore.\n\nEnd.\n\n[a]: https://a.example\n",
        "[a]: https://a.example\n\nText.\n\nMore.\n\n[a]\n\n[a]",
        "> [a]: https://a.example\n\nText.\n\nMore.\n\n[a]\n\n[a]",
        "One[^1]\n\nTwo[^2]\n\nThree\n\n[^2]: b\n\n[^1]: a\n\nFour",
        "- a\n\nText.\n\n\ufeff# b\n\nText.\n\nEnd.",
        "a\n\nb\n\n<!-- c\n\nd\n\ne -->\n\nf",
        "a\n\nb\n\n<script>\n\nc\n\n</script>\n\nd",
        "a\n\nb\n\n- c\n\n\n      d\n\ne\n\n1. f\n\ng",
        "~~~\na\n\nb\n\nc\n~~~\n\nd\n\ne",
        "see [a]\n\nb\n\nc\n\n    code\n[a]: https://a.example\n\nd\n\ne [a]\n\nf",
        "\ufeff[a]: https://a.example\n\nText.\n\nMore.\n\n[a]\n\n[a]",
        f"[^{'a' * 1200}]\n\nText.\n\nMore.\n\n[^{'a' * 1200}]: note\n\nEnd.\n\nEnd.",
        "a[^1]\n\n[^1]: b\n\nc\n\nd[^1]\n\n[^1]: e\n\nf\n\ng",
        "a\n\n\\[\n- b\n\nc\n\n\\]\n\nd\n\n$$\n+ e\n$$\n\nf\n\ng",
        "\r\n\r\na\r\n\r\nb\r\n\r\nc\r\n\r\nd",
    ],
)
def test_what_stands_far_off_is_minded(text: str) -> None:
    assert list(in_steps(text, list(range(len(text))), running=False).blocks) == render(text)


@pytest.mark.any_size
def test_brackets_in_code_define_nothing() -> None:
    text = "a\n\nb\n\n```\n[INFO]: started\n```\n\nc\n\nd"

    assert grown(NOTHING, text, running=True).settled == 3


def parsed_from_now_on(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that the parser is given."""
    parsed: list[str] = []

    def watched(text: str) -> str:
        parsed.append(text)
        return to_html(text)

    monkeypatch.setattr(growth, "to_html", watched)
    return parsed


def test_settled_blocks_are_not_rendered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = parsed_from_now_on(monkeypatch)
    rendering = grown(NOTHING, PARAGRAPHS, running=True)
    parsed.clear()

    for step in range(1, 2_000, 7):
        rendering = grown(rendering, PARAGRAPHS + PARAGRAPHS[:step], running=True)

    assert len(PARAGRAPHS) > 64_000
    assert max(map(len, parsed)) < 6_000


def test_of_a_line_that_goes_on_only_its_own_piece_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, more = (
        "Words.\n\n- one\n- two\n\n## Part\n\nSome *more",
        "* of `them` and [a link](https://a.example).",
    )
    parsed = parsed_from_now_on(monkeypatch)
    rendering = grown(NOTHING, begun, running=True)
    assert max(map(len, parsed)) == len(begun)
    parsed.clear()

    for end in range(1, len(more) + 1):
        rendering = grown(rendering, begun + more[:end], running=True)

    assert parsed
    assert all(source.startswith("Some *more") for source in parsed)


def test_settled_blocks_stay_the_same_objects() -> None:
    before = grown(NOTHING, PARAGRAPHS, running=True)
    after = grown(before, PARAGRAPHS + "more", running=True)

    assert before.settled > 4_000
    assert all(a is b for a, b in zip(before.blocks[: before.settled], after.blocks, strict=False))


def test_a_text_that_turns_too_intricate_is_shown_as_it_is() -> None:
    before = grown(NOTHING, PARAGRAPHS, running=True)
    text = PARAGRAPHS + "> " * 200 + "x\n\nb"

    assert list(grown(before, text, running=True).blocks) == render(text, running=True)
    assert "too intricate" in render(text)[0]


def test_code_whose_fence_never_came_is_in_colours_once_it_has_ended() -> None:
    text = "Code:\n\n```py\nimport re"
    before = grown(NOTHING, text, running=True)

    assert "<span" not in before.blocks[-1].partition("<code>")[2]
    assert grown(before, text, running=False).blocks[-1].count('<span class="k') == 1


def test_of_very_much_code_the_first_is_in_colours_however_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(highlighting, "_SECONDS", 60)

    def program(name: str) -> str:
        return f"```py\n{name} = 1\n" + "x\n" * 7_000 + "```\n\nText.\n\n"

    text = "".join(map(program, "abcdefgh")) + f"- a\n\n{indent(program('i'), '  ')}"
    blocks = render(text)

    coloured = [name for name in "abcdefghi" if f'{name} <span class="o">=</span>' in "".join(blocks)]
    assert coloured == list("abcdefg")
    assert list(in_steps(text, list(range(10_000, len(text), 10_000)), running=False).blocks) == blocks


def test_blocks_of_code_within_one_piece_share_what_is_in_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(highlighting, "_SECONDS", 60)
    item = "- a\n\n  ```py\n" + "  x = 1\n" * 2_500 + "  ```\n"

    assert "".join(render(item * 9)).count('<span class="o">') == 6 * 2_500
