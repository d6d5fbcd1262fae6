r"""Shields: lines kept from being taken for what they are not.

A line of a formula often begins with `+`, `-`, `=` or `>`. To Markdown those begin blocks, and blocks go
before formulas. And a footnote that is defined twice confuses comrak. A mark that no text can hold is put
in front of such lines, and taken away from the HTML.
"""

import re

# A noncharacter, which `text.clean` leaves in no text.
_MARK = "\ufdd0"


def shielded(text: str) -> str:
    r"""The text with marks in formulas on lines of their own, and before what defines a footnote again."""
    if "\\[\n" in text or "$$\n" in text:
        text = _DISPLAY.sub(_marked, text)
    return _with_footnotes_once(text) if text.count("[^") > 1 and "]:" in text else text


def unshielded(text: str) -> str:
    """The text, or HTML made of it, without marks."""
    return text.replace(_MARK, "")


def _marked(display: re.Match[str]) -> str:
    if display["end"] is None:
        return display[0]
    # In a quote each line has the marks of that in front of it.
    margin = rf"(?:[ \t]*>){{{display['margin'].count('>')}}}[ \t]*"
    start = display.start()
    begin, end = display.start("lines") - start, display.end("lines") - start
    beginning = re.compile(rf"^({margin})(?=[-+*=>#]|\d{{1,9}}[.)])", re.MULTILINE)
    lines = beginning.sub(rf"\1{_MARK}", display["lines"])
    return display[0][:begin] + lines + display[0][end:]


def _with_footnotes_once(text: str) -> str:
    known: set[str] = set()

    def marked(definition: re.Match[str]) -> str:
        label = definition["label"].casefold()
        is_second = label in known
        known.add(label)
        return definition["margin"] + _MARK * is_second + definition["label"]

    return _FOOTNOTE.sub(marked, text)


# All of it possessive: what an unclosed formula has taken, no other way of reading is tried for.
_DISPLAY = re.compile(
    r"^(?P<margin>[ \t>]*+(?:(?:[-+*]|\d{1,9}[.)])[ \t]++)?)(?:(?P<dollars>\$\$)|\\\[)[ \t]*+\n"
    r"(?P<lines>(?:(?![ \t>]*+(?(dollars)\$\$|\\\]))[^\S\n]*+\S[^\n]*+(?:\n|\Z))*+)"
    r"(?P<end>[ \t>]*+(?(dollars)\$\$|\\\])|\Z)?",
    re.MULTILINE,
)
_FOOTNOTE = re.compile(r"^(?P<margin>[ \t>]*+)(?P<label>\[\^[^\]\s]++\]:)", re.MULTILINE)
