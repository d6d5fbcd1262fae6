"""Hostile texts, disguised and at every place: only what is allowed comes out, finished and cut anywhere."""

import re
from itertools import cycle

import pytest

from app.fragments import changes
from app.growing import SUPERSEDED, GrowingAnswer
from app.markdown import render
from app.renderings import shown_now
from tests.hostile import DISGUISES, FAMILIES, PLACES, everything, family, placed
from tests.rendered import Page, prefixes

PARTIAL = re.compile(r'<hx-partial hx-target="([^"<]*)" hx-swap=([a-zA-Z]+)>(.*?)</hx-partial>', re.DOTALL)
TARGET = re.compile(r"#m7-\d+(>:last-child)*|#message-7-blocks")
# What is put around and into what `render` gives, turned back: each is exactly this and nothing like it.
CONTROLS = [
    (re.compile(r'<clipboard-copy for="m7-\d+-\d+" class="copy" role="button" tabindex="0">'), "<strong>"),
    (re.compile(r"</clipboard-copy>"), "</strong>"),
    (
        re.compile(r'(?<=<sup>)<a href="#note-7-(\d+)" aria-label="Footnote \1">'),
        '<a href="http://note.example">',
    ),
    (re.compile(r'<li class="footnote" id="note-7-\d+">'), '<li class="footnote">'),
    (re.compile(r'<pre id="m7-\d+-\d+" tabindex="0">'), "<pre>"),
    (re.compile(r'<div class="table" tabindex="0" role="group" aria-label="Table">'), '<div class="table">'),
    (re.compile(r'<div class="block(?: again)?" dir="auto"(?: id="m7-\d+")?>'), '<div class="code">'),
    (re.compile(r'<div class="prose(?: again)?">'), '<div class="code">'),
    (re.compile(re.escape(SUPERSEDED)), "<hr>"),
]


def bare(html: str) -> str:
    """HTML as a page gets it, without what surrounds and serves the rendered text."""
    for added, instead in CONTROLS:
        html = added.sub(instead, html)
    return html


def check(text: str) -> None:
    """Whole elements of the allowed kinds, one a block."""
    blocks = render(text)
    assert [Page(block).roots for block in blocks] == [1] * len(blocks)


class Growing(Page):
    """Reads HTML as it arrives: no piece may end within a tag, and none may undo what came before."""

    def __init__(self) -> None:
        super().__init__("")

    def add(self, html: str) -> None:
        self.feed(bare(html))
        assert "<" not in self.rawdata

    def end(self, html: str) -> None:
        self.add(html)
        self.close()
        assert self._open == []


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("place", PLACES)
def test_at_no_place_does_it_get_out(place: str, name: str) -> None:
    for text in family(name):
        check(placed(place, text))


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("disguise", DISGUISES)
def test_in_no_disguise_does_it_get_out(disguise: str, name: str) -> None:
    for text, place in zip(family(name), cycle(PLACES), strict=False):
        disguised = DISGUISES[disguise](text)

        check(disguised)
        check(placed(place, disguised))


def test_nothing_gets_out_of_all_of_it_together() -> None:
    for between in ("\n\n", "\n", " ", ""):
        check(between.join(everything()))


@pytest.mark.parametrize("name", FAMILIES)
def test_nothing_gets_out_at_any_moment_of_a_stream(name: str) -> None:
    for text in family(name):
        seen: tuple[str, ...] = ()
        growing, reader = GrowingAnswer(), Growing()
        for prefix in prefixes(text, 1):
            now = shown_now("7", prefix, running=prefix != text).blocks
            reader.add(growing.advance(now))
            check_fragments(changes("7", seen, now))
            check_fragments(changes("7", seen, now, bare=True))
            seen = now
        reader.end(growing.end())
        check_fragments(changes("7", None, seen))


def check_fragments(sent: str) -> None:
    """Nothing but our fragments, to our places, and in them, and bare before them, what is allowed."""
    without = PARTIAL.sub("", sent)
    assert sent.startswith(without)
    Page(f'<div class="code">{bare(without)}</div>')
    for target, swap, html in PARTIAL.findall(sent):
        assert TARGET.fullmatch(target)
        assert swap in {"append", "innerMorph", "delete"}
        Page(f'<div class="code">{bare(html)}</div>')
