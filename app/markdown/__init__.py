"""Markdown → safe HTML, in blocks; whole, or as it grows.

Pure: a function of the text. The text is a language model's, so anyone's: HTML in it is shown as text,
nothing in it loads, and the sanitizer runs last.

    text ─► parsers ─► pieces, at top level ─► our code blocks, links, tables ─► sanitizer ─► blocks
"""

from app.markdown.growth import NOTHING, Rendering, grown

__all__ = ["NOTHING", "Rendering", "grown", "render"]


def render(text: str, *, running: bool = False) -> list[str]:
    """Each top-level piece of the Markdown as one well-formed, safe HTML string, in order.

    `running` says that the text is still being written: then what it has begun and not ended is shown
    as it will most likely read.
    """
    return list(grown(NOTHING, text, running=running).blocks)
