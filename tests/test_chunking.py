"""Any cutting equals the whole: the examples of the specifications, alone and together, cut and resumed."""

import random
from collections.abc import Iterator

import pytest

from app.fragments import changes, page_blocks
from app.growing import GrowingAnswer
from app.markdown import NOTHING, grown, growth, render
from app.renderings import shown_now
from tests.specifications import examples
from tests.test_fragments import Page, parsed, shown_in, whole

EXAMPLES = [example.markdown for example in examples()]
BATCHES = [EXAMPLES[start::16] for start in range(16)]
EMOJI = "a 👩‍👩‍👧‍👦 e\u0301 🇨🇭 **b 𝔘c** `d\u200de`\n\n- 🏳️‍🌈 x\n\n"


def cuts(text: str, seed: int, most: int = 5) -> list[int]:
    """Where to cut: anywhere, and always at the end."""
    chance = random.Random(seed)
    return [*sorted(chance.sample(range(len(text)), min(most, len(text)))), len(text)]


def together(batch: list[str], seed: int) -> Iterator[str]:
    """Documents of several examples."""
    chance = random.Random(seed)
    for _ in range(12):
        yield chance.choice(["\n\n", "\n"]).join(chance.sample(batch, 6))


@pytest.mark.parametrize("batch", BATCHES, ids=range(16))
def test_what_is_sent_adds_up_to_the_whole(batch: list[str]) -> None:
    for seed, text in enumerate([*batch, *together(batch, 1), EMOJI * 2]):
        page, before = Page(), shown_now("7", "", running=True).blocks
        for cut in cuts(text, seed):
            now = shown_now("7", text[:cut], running=cut < len(text)).blocks
            page.apply(changes("7", before, now, bare=True))
            before = now

        assert page.html == whole(text), text


@pytest.mark.parametrize("batch", BATCHES, ids=range(16))
def test_who_comes_back_at_any_position_is_sent_what_is_missing(batch: list[str]) -> None:
    for seed, text in enumerate([*batch, EMOJI]):
        for position in cuts(text, seed, 2):
            # What the page has is what a page is given that is loaded in the middle.
            had = shown_now("7", text[:position], running=True).blocks
            page = Page(page_blocks("7", had))
            page.apply(changes("7", had, shown_now("7", text).blocks, bare=True))

            assert page.html == whole(text), (text, position)


@pytest.mark.parametrize("batch", BATCHES, ids=range(16))
def test_a_page_that_only_grows_ends_as_the_whole(batch: list[str]) -> None:
    for seed, text in enumerate([*batch, *together(batch, 2)]):
        growing = GrowingAnswer()
        ends = cuts(text, seed)
        sent = [growing.advance(shown_now("7", text[:end], running=end < len(text)).blocks) for end in ends]

        shown = [parsed(html).decode_contents() for html in shown_now("7", text).blocks]
        assert shown_in("".join(sent) + growing.end()) == shown, text


@pytest.mark.parametrize("batch", BATCHES, ids=range(16))
def test_what_is_settled_stays_right(batch: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "_SETTLED_FROM", 1)
    settled = 0
    for seed, text in enumerate([*batch, *together(batch, 3), *together(batch, 4)]):
        rendering = NOTHING
        for cut in cuts(text, seed, 12):
            rendering = grown(rendering, text[:cut], running=cut < len(text))
            assert list(rendering.blocks) == render(text[:cut], running=cut < len(text)), text[:cut]
            settled += rendering.settled
    assert settled > 100
