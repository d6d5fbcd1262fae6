"""Hostile text: attempts at a page through what a model writes, most of our own making; disguises; places.

The attempts are in `hostile_text/`, a file a family, one a line: `⏎` stands for a newline, `⟨202E⟩` for the
character of that number, and a line that begins with `;;` says what the family is.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from html import escape
from pathlib import Path

from app.markdown import render

FOLDER = Path(__file__).parent / "hostile_text"
FAMILIES = sorted(file.stem for file in FOLDER.glob("*.txt"))


@cache
def family(name: str) -> tuple[str, ...]:
    """The attempts of one family."""
    lines = (FOLDER / f"{name}.txt").read_text(encoding="utf-8").split("\n")
    return tuple(_decoded(line) for line in lines if line and not line.startswith(";;"))


def _decoded(line: str) -> str:
    return re.sub("⟨([0-9A-F]+)⟩", lambda number: chr(int(number[1], 16)), line.replace("⏎", "\n"))


def everything() -> Iterator[str]:
    """Every attempt, undisguised."""
    for name in FAMILIES:
        yield from family(name)


# What may get past one reading of a text and not past the next.
DISGUISES: dict[str, Callable[[str], str]] = {
    "entities": lambda text: escape(text),
    "entities of entities": lambda text: escape(escape(text)),
    "numbers": lambda text: "".join(f"&#{ord(character)};" for character in text if character != "\n"),
    "hexadecimal, open": lambda text: re.sub(r"[<>:\"'=]", lambda found: f"&#x{ord(found[0]):x}", text),
    "backslashes": lambda text: re.sub(r"([<>\"'&:(=])", r"\\\1", text),
    "capitals": str.upper,
    "mixed case": lambda text: "".join(
        character.upper() if place % 2 else character for place, character in enumerate(text)
    ),
    "NUL behind brackets": lambda text: text.replace("<", "<\0").replace(":", "\0:"),
    "soft hyphens": lambda text: text.replace("<", "<\xad").replace("script", "scr\xadipt"),
    "tabs for blanks": lambda text: text.replace(" ", "\t"),
    "form feeds for blanks": lambda text: text.replace(" ", "\f"),
    "slashes for blanks": lambda text: text.replace(" ", "/"),
    "a word a line": lambda text: text.replace(" ", "\n"),
    "a word a paragraph": lambda text: text.replace(" ", "\n\n"),
    "carriage returns": lambda text: text.replace("\n", "\r").replace(" ", "\r"),
    "twice": lambda text: text + text,
    "within itself": lambda text: text[: len(text) // 2] + text + text[len(text) // 2 :],
    "without its end": lambda text: text[:-1],
    "without its beginning": lambda text: text[1:],
    "brackets doubled": lambda text: text.replace("<", "<<").replace(">", ">>"),
    "wide brackets": lambda text: text.replace("<", "＜").replace(">", "＞"),
    "emphasis in names": lambda text: re.sub(r"([a-z])([a-z])", r"\1*\2*", text, count=3),
    "reversed": lambda text: "\u202e" + text[::-1],
}

# Where in a text an attempt stands; `{}` is the attempt.
PLACES = {
    "quote": "> {}",
    "quote in a list": "- a\n\n  > {}",
    "item": "- {}",
    "number": "1. a\n2. {}",
    "task": "- [ ] {}",
    "heading": "# {}",
    "line of a heading": "{}\n===",
    "sentence": "a {} b",
    "behind an open element": "a <b {} c",
    "behind an open quotation": 'a <b title="{}" c',
    "cell": "|a|b|\n|-|:-:|\n|{}|c|",
    "head of a table": "|{}|\n|-|\n|a|",
    "code": "`{}`",
    "more code": "`` ` {} ``",
    "fence": "```html\n{}\n```",
    "fence in a list": "- ```\n  {}\n  ```",
    "language": "```{}\nx\n```",
    "open fence": "a\n\n~~~ {}\n{}",
    "indented": "    {}",
    "emphasis": "***{}***",
    "struck": "~~{}~~",
    "words of a link": "[{}](http://a.example/)",
    "address": "[a]({})",
    "address in brackets": "[a](<{}>)",
    "title": '[a](http://a.example/ "{}")',
    "description": "![{}](http://a.example/x.png)",
    "address of an image": "![a]({})",
    "end of an address": "http://a.example/{}",
    "autolink": "<http://a.example/{}>",
    "definition": "[a]: {}\n\n[a]",
    "definition's title": "[a]: http://a.example/ '{}'\n\n[a]",
    "label": "[{}]: http://a.example/\n\n[{}]",
    "note": "[^1]: {}\n\n[^1]",
    "label of a note": "[^{}]: a\n\n[^{}]",
    "comment": "<!-- {} -->",
    "formula": "${}$",
    "displayed formula": "$$\n{}\n$$",
    "words in a formula": r"$\text{{}}$",
}


def placed(place: str, text: str) -> str:
    """An attempt at its place. Its later lines stand where the first does only by chance."""
    return PLACES[place].replace("{}", text)


def messages(texts: Iterable[str], *, size: int = 20_000) -> list[str]:
    """The texts as a few long messages, each text a piece by itself: what one leaves open is closed."""
    found = [""]
    for number, text in enumerate(texts):
        if "]:" in text:  # the first definition of a name is the one that counts
            text = text.replace("[^", f"[^{number}").replace("[a]", f"[a{number}]")
        if len(found[-1]) + len(text) > size:
            found.append("")
        found[-1] += _closed(text) + "\n\n"
    return found


def _closed(text: str) -> str:
    for end in ENDS:
        if "<p>SENTINEL</p>" in render(f"{text}{end}\n\nSENTINEL"):
            return text + end
    return text


ENDS = ["", "\n```", "\n~~~", "\n-->", "\n?>", "\n]]>", "\n>", "\n</script>"]
