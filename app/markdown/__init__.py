"""Markdown → safe HTML, in blocks; whole, or as it grows.

Pure: a function of the text. The text is a language model's, so anyone's: HTML in it is shown as text,
nothing in it loads, and the sanitizer runs last.

    text ─► parsers ─► pieces, at top level ─► our code blocks, links, tables ─► sanitizer ─► blocks
"""

from app.markdown.rendering import NOTHING, Rendering

__all__ = ["NOTHING", "Rendering", "grown", "is_loaded", "render"]


def render(text: str, *, running: bool = False) -> list[str]:
    """Each top-level piece of the Markdown as one well-formed, safe HTML string, in order.

    `running` says that the text is still being written: then what it has begun and not ended is shown
    as it will most likely read.
    """
    return list(grown(NOTHING, text, running=running).blocks)


def grown(before: Rendering, text: str, *, running: bool) -> Rendering:
    """The rendering of a text; it costs little where the one before is of the text's beginning.

    The blocks depend on the text, and on whether more of it is to come (`running`), and on nothing else.
    """
    # Loaded with the first text: a process that shows none need not have parser, sanitizer and lexers.
    from app.markdown import growth

    return growth.grown(before, text, running=running)


def is_loaded() -> bool:
    """Whether a text can be rendered at once; else the first takes the time of loading the renderer, too."""
    return "growth" in globals()  # a package has its module once that is loaded
