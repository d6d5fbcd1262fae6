"""Pieces: the parser's HTML is cut between its top-level elements, and nothing is lost."""

import re
from html import unescape

import comrak
from hypothesis import given

from app.text import clean
from tests.rendered import read
from tests.test_hostile_text import documents


@given(
    text=documents.filter(lambda text: not re.search(r"[!^$]|\\[(\[]|\[ *[xX]?\]|\n {4,}>", text)).map(clean)
)
def test_no_text_is_lost_between_the_blocks(text: str) -> None:
    options = comrak.RenderOptions()
    options.escape = True
    extensions = comrak.ExtensionOptions()
    extensions.table = extensions.strikethrough = extensions.autolink = True
    whole = re.sub("<[^>]*>", "", comrak.render_markdown(text, extensions, None, options))

    assert "".join("".join(read(text).text).split()) == "".join(unescape(whole).split())
