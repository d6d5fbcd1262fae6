"""Highlighting: the code's own text, in colours or not."""

import re
from html import unescape
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pygments.lexer import DelegatingLexer
from pygments.lexers import find_lexer_class_by_name, get_all_lexers

from app.markdown.highlighting import _LANGUAGES, CLASSES, highlight

LANGUAGES = sorted({aliases[0] for _, aliases, _, _ in get_all_lexers() if aliases})

SLOW = ["html", "java", "csharp", "powershell"]

AWKWARD = "\n\n  x = {\"a\": '<b>&amp;'}\t# \\ `${y}` <?php /* \ufeff\n\n<!-- \U0001f600\n"


def text_of(html: str) -> str:
    return unescape(re.sub(r'<span class="[a-z0-9]+">|</span>', "", html))


def test_a_keyword_has_its_class() -> None:
    assert '<span class="k">return</span> <span class="mi">1</span>' in highlight("return 1", "python")


def test_names_brackets_and_spaces_have_no_element() -> None:
    assert highlight("a (b)", "python") == "a (b)"


@pytest.mark.parametrize("language", ["", "no-such-language", "../../etc/passwd", "\ufffd", "x" * 10_000])
def test_an_unknown_language_leaves_the_code_plain(language: str) -> None:
    assert highlight("if <b>:", language) == "if &lt;b&gt;:"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_lexer_keeps_the_code_as_it_is(language: str) -> None:
    html = highlight(AWKWARD, language)

    assert text_of(html) == AWKWARD
    assert set(re.findall(r'class="([^"]*)"', html)) <= CLASSES


@pytest.mark.parametrize("language", sorted(_LANGUAGES))
def test_no_trusted_lexer_hands_its_code_to_another_first(language: str) -> None:
    assert not issubclass(find_lexer_class_by_name(language), DelegatingLexer)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("ncl", '"' + "\\\\" * 40 + "\x01"),
        ("smithy", '"' + "\n\na," * 60),
        ("rell", '<?"' + "\\\\^" * 90 + "a"),
        ("maple", 'a(%%\\"' + "a\n " * 290 + "a"),
        ("genshi", ("<script>/*" * 90 + "\n") * 10),
        ("aspx-cs", ("<%" * 450 + "\n") * 30),
        ("markdown", '```ncl\n"' + "\\\\" * 40 + "\x01\n```\n"),
    ],
)
def test_a_lexer_that_never_ends_is_never_begun(language: str, code: str) -> None:
    assert text_of(highlight(code, language)) == code


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("bash", "$'" + "\\\\" * 40),
        ("sh", "$'" + "\\0000000" * 40),
        ("console", "$ $'" + "\\\\" * 40 + "a"),
        ("dockerfile", "RUN $'" + "\\\\" * 40),
        ("fortran", "'" + "\\0000000" * 40),
        ("perl", "s!" + "\\\\" * 40),
        ("php", "<?php <<<" + "é" * 60),
        ("scala", '"' + "\\\\" * 40),
        ("scala", 'raw"' + "\\\\" * 40),
    ],
)
def test_a_string_without_its_end_is_read_in_one_way_only(language: str, code: str) -> None:
    assert text_of(highlight(code, language)) == code


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("bash", r"$'a\\001\''"),
        ("fortran", r"'a\\001'"),
        ("perl", r"s!a\\!b\!!"),
        ("scala", r'"a\\\"b"'),
    ],
)
def test_a_string_with_its_end_is_one(language: str, code: str) -> None:
    assert re.fullmatch(r'<span class="s[a-z0-9]*">[^<]*</span>', highlight(code, language))


@given(code=st.text(), language=st.sampled_from(["python", "html", "json", "bash", "c", "php", "console"]))
def test_any_text_stays_as_it_is(code: str, language: str) -> None:
    assert text_of(highlight(code, language)) == code


@pytest.mark.parametrize("code", ["if " * 11_000, "if\n" * 11_000, "if" + " " * 200 + "x", "if " * 200])
def test_code_that_would_take_long_stays_plain(code: str) -> None:
    assert highlight(code, "python") == code


@pytest.mark.parametrize(
    ("language", "code"),
    [
        *(
            (language, (line * 15 + "\n") * 250)
            for language in SLOW
            for line in ("<!--", "<?", "\n#", "a<", "a b ")
        ),
        ("console", "a" * 166 + "@" * 166 + "b" * 166 + "\n"),
        ("console", "a" * 333 + "@" * 333 + "b" * 333 + "\n"),
        ("bash", "<<" + "".join(map(chr, range(0x4E00, 0x4FF0))) + ("\n" + "b" * 490) * 39),
        ("vim", "python << a" + "(" * 480 + ("\n" + "b" * 490) * 39),
    ],
)
def test_a_lexer_that_is_slow_is_left_before_a_reader_waits(language: str, code: str) -> None:
    start = process_time()
    highlight(code, language)

    assert process_time() - start < 1  # half of that on a quiet machine
