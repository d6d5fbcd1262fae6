"""The examples of the specifications of Markdown, as their authors publish them, and what each asks for."""

import re
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent


class Example(NamedTuple):
    """One example: its number and heading, the Markdown, the HTML that it is, and what extension it needs."""

    name: str
    markdown: str
    html: str
    extensions: tuple[str, ...]


def examples() -> list[Example]:
    """All of them, in order; those that ask for nothing (`<IGNORE>`) too."""
    return [
        example
        for source in ("commonmark", "gfm", "gfm-extensions", "gfm-regression")
        for example in _read(source)
    ]


def _read(source: str) -> list[Example]:
    # Not by read_text(), which would make line ends of the carriage returns that are tested.
    text = (FOLDER / f"{source}.txt").read_bytes().decode()
    found: list[Example] = []
    heading = ""
    for match in _HEADING_OR_EXAMPLE.finditer(text):
        if match["heading"]:
            heading = match["heading"].strip()
            continue
        found.append(
            Example(
                f"{source}-{len(found) + 1} {heading}",
                match["markdown"].replace("→", "\t"),
                match["html"].replace("→", "\t"),
                tuple(match["extensions"].split()),
            )
        )
    return found


_HEADING_OR_EXAMPLE = re.compile(
    r"^#+ (?P<heading>[^\n]*)\n"
    r"|^`{32} example(?P<extensions>[^\n]*)\n(?P<markdown>(?:[^\n]*\n)*?)\.\n(?P<html>(?:[^\n]*\n)*?)`{32}\n",
    re.MULTILINE,
)
