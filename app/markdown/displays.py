r"""Displays: formulas on lines of their own, kept from being taken for lists and headings.

A line of a formula often begins with `+`, `-`, `=` or `>`. To Markdown those begin blocks, and blocks go
before formulas. A mark that no text can hold is put in front of them, and taken away from the HTML.
"""

import re

# A noncharacter, which `text.clean` leaves in no text.
_MARK = "\ufdd0"


def shielded(text: str) -> str:
    r"""The text with marks within what stands between `\[` and `\]`, or two `$$`, on lines of their own."""
    return _DISPLAY.sub(_marked, text) if "\\[\n" in text or "$$\n" in text else text


def bare(text: str) -> str:
    """The text, or HTML made of it, without marks."""
    return text.replace(_MARK, "")


def _marked(display: re.Match[str]) -> str:
    # In a quote each line has the marks of that in front of it.
    beginning = re.compile(
        rf"^((?:[ \t]*>){{{display['margin'].count('>')}}}[ \t]*){_BEGINNING}", re.MULTILINE
    )
    start = display.start()
    begin, end = display.start("lines") - start, display.end("lines") - start
    whole = display[0]
    return whole[:begin] + beginning.sub(rf"\1{_MARK}", display["lines"]) + whole[end:]


_DISPLAY = re.compile(
    r"^(?P<margin>[ \t>]*(?:(?:[-+*]|\d{1,9}[.)])[ \t]+)?)(?:(?P<dollars>\$\$)|\\\[)[ \t]*\n"
    r"(?P<lines>(?:[^\n]*\S[^\n]*(?:\n|\Z))*?)(?:[ \t>]*(?(dollars)\$\$|\\\])|\Z)",
    re.MULTILINE,
)
_BEGINNING = r"(?=[-+*=>#]|\d{1,9}[.)])"
