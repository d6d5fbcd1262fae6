"""Markdown → HTML by a parser of the whole language; not yet fit to be shown."""

import comrak


class ParserError(Exception):
    """The parser gave up."""


def to_html(text: str) -> str:
    """CommonMark with GitHub's tables, tasks, strikethrough and bare links, footnotes and formulas.

    HTML in the text is escaped, so that the only `<` and `>` are those of the parser's own tags, and each
    tag says in `data-sourcepos` from where to where it reaches: `line:column-line:column`, from 1, in bytes.
    Raises ParserError.
    """
    try:
        return comrak.render_markdown(text, _EXTENSIONS, None, _OPTIONS)
    except BaseException as error:
        # What a panic in Rust becomes is no Exception.
        if type(error).__name__ != "PanicException":
            raise
        raise ParserError from error


def _extensions() -> comrak.ExtensionOptions:
    options = comrak.ExtensionOptions()
    options.autolink = options.footnotes = options.strikethrough = options.table = options.tasklist = True
    options.math_dollars = options.math_latex = True
    return options


def _options() -> comrak.RenderOptions:
    options = comrak.RenderOptions()
    options.escape = options.sourcepos = True
    options.compact_html = True  # no newline before a closing tag, so that a block grows at its end
    return options


_EXTENSIONS = _extensions()
_OPTIONS = _options()
