"""Markdown → HTML by a parser of the whole language; not yet fit to be shown."""

from importlib.util import find_spec

from app.markdown.limits import LONGEST, TooIntricateError

# There is no wheel of it for every machine. Only one of the two is loaded.
HAS_COMRAK = find_spec("comrak") is not None
if HAS_COMRAK:
    import comrak
else:
    from app.markdown import python_parser


def longest() -> int:
    """How long a text may be, in characters."""
    return LONGEST if HAS_COMRAK else python_parser.LONGEST


def to_html(text: str) -> str:
    """CommonMark with GitHub's tables, tasks, strikethrough and bare links, footnotes and formulas.

    HTML in the text is escaped, so that the only `<` and `>` are those of the parser's own tags. In
    `data-sourcepos` a tag says from where to where it reaches: `line:column-line:column`, from 1, in bytes.
    Raises TooIntricateError.
    """
    if not HAS_COMRAK:
        return python_parser.to_html(text)
    try:
        return comrak.render_markdown(text, _EXTENSIONS, None, _OPTIONS)
    except BaseException as error:
        # What a panic in Rust becomes is no Exception.
        if type(error).__name__ != "PanicException":
            raise
        raise TooIntricateError from error


if HAS_COMRAK:
    _EXTENSIONS = comrak.ExtensionOptions()
    _EXTENSIONS.autolink = _EXTENSIONS.strikethrough = _EXTENSIONS.table = _EXTENSIONS.tasklist = True
    _EXTENSIONS.footnotes = _EXTENSIONS.math_dollars = _EXTENSIONS.math_latex = True
    _OPTIONS = comrak.RenderOptions()
    _OPTIONS.escape = _OPTIONS.sourcepos = True
    _OPTIONS.compact_html = True  # no newline before a closing tag, so that a block grows at its end
