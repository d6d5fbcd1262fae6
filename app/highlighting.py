"""Code → HTML that names the kind of each word by a Pygments class."""

from collections.abc import Iterable
from functools import lru_cache
from html import escape
from itertools import groupby

from pygments.lexers import get_lexer_by_name
from pygments.token import STANDARD_TYPES, _TokenType

# Kinds that no style tells from plain text: a name, a bracket, a space. They are most of a program.
_PLAIN = {"", "n", "p", "w", "x"}

CLASSES = frozenset(STANDARD_TYPES.values()) - _PLAIN


@lru_cache(maxsize=256)
def highlight(code: str, language: str) -> str:
    """The code as escaped text with `<span class="k">` around its words; plain text where that fails.

    The text is the code's, character by character, whatever the lexer makes of it.
    """
    try:
        lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
        tokens = list(lexer.get_tokens(code))
    except Exception:  # lexers are many and the code is anyone's: none may take the message with it
        return escape(code)
    if "".join(value for _, value in tokens) != code:
        return escape(code)
    return _spans(tokens)


def _spans(tokens: Iterable[tuple[_TokenType, str]]) -> str:
    parts = []
    for kind, group in groupby(tokens, key=lambda token: _class(token[0])):
        text = escape("".join(value for _, value in group))
        parts.append(text if kind in _PLAIN else f'<span class="{kind}">{text}</span>')
    return "".join(parts)


def _class(kind: _TokenType) -> str:
    while kind not in STANDARD_TYPES and kind.parent:
        kind = kind.parent
    return STANDARD_TYPES.get(kind, "")
