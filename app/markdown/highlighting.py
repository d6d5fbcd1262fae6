"""Code → HTML that names the kind of each word by a Pygments class."""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from html import escape
from itertools import groupby
from time import thread_time

from pygments.lexer import RegexLexerMeta
from pygments.lexers import get_lexer_by_name
from pygments.token import STANDARD_TYPES, _TokenType

# Kinds that no style tells from plain text: a name, a bracket, a space. They are most of a program.
_PLAIN = {"", "n", "p", "w", "x"}

CLASSES = frozenset(STANDARD_TYPES.values()) - _PLAIN

# Those that people ask models about, and no others: some lexers take exponential time for one line, which
# no clock can stop, and those that hand parts to any other (Markdown, PostgreSQL) are as bad as the worst.
_NAMES = """
asm awk bash c c# c++ clj clojure cmake console cpp cs csharp css dart diff docker dockerfile elixir erl
erlang ex fortran fsharp go golang graphql groovy haskell hcl hs html ini java javascript js json json5 jsx
julia kotlin latex less lua make makefile matlab mysql nasm nginx nix objc objective-c ocaml pascal perl php
pl powershell prolog proto protobuf ps1 py python python3 r rb rs ruby rust scala scheme scss sh shell
solidity sql sqlite3 swift tcl terraform tex toml ts tsx typescript vb.net vim xml yaml yml zig zsh
"""
_LANGUAGES = frozenset(_NAMES.split())
_LONGEST = 20_000
_SECONDS = 0.3  # of work, so that what is in colours does not depend on what else the machine does
# Many lexers look ahead from each character to the end of a line, or of a row of blanks; that of a console
# does so in threes.
_TEDIOUS = re.compile(r"[^\n]{501}|\s{101}")


@lru_cache(maxsize=256)
def highlight(code: str, language: str) -> str:
    """The code as escaped text with `<span class="k">` around its words.

    Plain where the language is none of those that are trusted, the code is long, or the lexer fails or is
    slow; the text is the code's, character by character, whatever the lexer makes of it.
    """
    if language.lower() not in _LANGUAGES or len(code) > _LONGEST or _TEDIOUS.search(code):
        return escape(code)
    try:
        tokens = list(_tokens(code, language))
    except Exception:  # lexers are many and the code is anyone's: none may take the message with it
        return escape(code)
    if "".join(value for _, value in tokens) != code:
        return escape(code)
    return _spans(tokens)


def _tokens(code: str, language: str) -> Iterator[tuple[_TokenType, str]]:
    lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    deadline = thread_time() + _SECONDS
    for token in lexer.get_tokens(code):
        if thread_time() > deadline:
            raise TimeoutError
        yield token


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


def _compiled(lexer: type, regex: object, flags: int, state: str) -> object:
    """A rule of a lexer that reads the inside of a string, or a name, in one way only."""
    unambiguous = _AMBIGUOUS.sub(r"\g<0>+", regex) if isinstance(regex, str) else regex
    return _compiled_as_it_is(lexer, unambiguous, flags, state)


# Such as `(\\\\|\\"|[^"])*`: where the end is missing, each backslash would double the time. It is done for
# all lexers, since one may hand a part of its code to another.
_AMBIGUOUS = re.compile(r"\((?:\?:)?\\(?:\\\\\\|\\\[0-7\]\+|w)\|[^()]*\)\*(?![?+])")
_compiled_as_it_is = RegexLexerMeta._process_regex  # type: ignore[attr-defined]  # the stubs lack it
RegexLexerMeta._process_regex = _compiled  # type: ignore[attr-defined]
