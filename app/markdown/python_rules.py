"""What comrak's dialect has and markdown-it has not, as rules for markdown-it."""

import re
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import quote

from markdown_it.rules_block import StateBlock, reference
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.state_inline import Delimiter
from markdown_it.token import Token


class TooMuch(Exception):
    """The text needs more steps than it is worth."""


def count_line(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Matches nothing, but counts how often a line is looked at."""
    _count(state.env, 1)
    return False


def count_place(state: StateInline, silent: bool) -> bool:
    """Matches nothing, but counts how often a place in a line is looked at."""
    _count(state.env, _COST_OF_PLACE)
    return False


def count_skip(state: StateInline) -> None:
    """Counts how often a place is passed over in search of the end of a bracket."""
    _count(state.env, 1)


def _count(environment: MutableMapping[str, Any], cost: int) -> None:
    environment["steps"] -= cost
    if environment["steps"] < 0:
        raise TooMuch


def definition(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A definition of a link; with the lines noted, for it is where the paragraph after it begins."""
    if not reference(state, start, end, silent):
        return False
    goes_on = state.line < end and state.sCount[state.line] >= state.blkIndent
    if not silent and goes_on:
        starts = state.env.setdefault("starts", {})
        starts[state.line, state.level] = starts.get((start, state.level), start)
    return True


def unfold(state: StateCore) -> None:
    """Takes from each line of a paragraph the blanks before it, and from a task its mark."""
    starts = state.env.get("starts", {})
    emptied = set()
    for place, token in enumerate(state.tokens):
        is_heading = token.type == "heading_open" and token.markup in ("=", "-")
        if token.map and (is_heading or token.type == "paragraph_open"):
            token.map[0] = starts.get((token.map[0], token.level), token.map[0])
        if token.type == "inline":
            token.content = _LINE_START.sub("\n", token.content)
            if _take_task(state.tokens[max(0, place - 2) : place + 1]):
                emptied |= {place - 1, place, place + 1}
    state.tokens = [token for place, token in enumerate(state.tokens) if place not in emptied]


def _take_task(tokens: list[Token]) -> bool:
    """Moves the mark of a task from its words to its item; whether it was all there is."""
    if [token.type for token in tokens] != ["list_item_open", "paragraph_open", "inline"]:
        return False
    item, _, words = tokens
    if not (task := _TASK.match(words.content)):
        return False
    item.meta["done"] = task[1] != " "
    words.content = words.content[task.end() :]
    return not words.content.strip()


def text(state: StateInline, silent: bool) -> bool:
    """Text up to what may be something else."""
    found = _NOT_TEXT.search(state.src, state.pos, state.posMax)
    end = found.start() if found else state.posMax
    if end == state.pos:
        return False
    if not silent:
        state.append_pending(state.src[state.pos : end])
    state.pos = end
    return True


def formula(state: StateInline, silent: bool) -> bool:
    r"""A formula: `$x$`, `\(x\)`, or displayed, `$$x$$`, `\[x\]`."""
    source, start = state.src, state.pos
    if source[start] == "\\":
        close = {"(": "\\)", "[": "\\]"}.get(source[start + 1 : start + 2])
        if not close or state.html_terminator_last(close) <= start + 2:
            return False
        end = source.find(close, start + 2, state.posMax)
        if end <= start + 2:
            return False
        _push_formula(state, silent, source[start + 2 : end], is_display=close == "\\]", is_latex=True)
        state.pos = end + 2
        return True
    if source[start] != "$":
        return False
    inside = start + 1
    while source[inside : inside + 1] == "$":
        inside += 1
    width = inside - start
    found = _closed_by_dollars(state, inside, width)
    if found is None:
        if not silent:
            state.append_pending("$" * width)
        state.pos = inside
        return True
    literal = source[inside:found]
    _push_formula(state, silent, literal, is_display=width == 2)
    state.pos = found + width
    return True


def _push_formula(
    state: StateInline, silent: bool, literal: str, *, is_display: bool, is_latex: bool = False
) -> None:
    if not silent:
        token = state.push("formula", "", 0)
        token.content = literal if is_display or is_latex else literal.replace("\n", " ")
        token.meta["style"] = "display" if is_display else "inline"
        token.meta["lines"] = literal.count("\n")
        token.meta["width"] = len(literal.encode()) + (4 if is_display or is_latex else 2)


def _closed_by_dollars(state: StateInline, start: int, width: int) -> int | None:
    source = state.src
    if width > 2 or start >= state.posMax:
        return None
    if width == 2:
        found = source.find("$$", start, state.posMax)
        return found if found > start else None
    if source[start].isspace():
        return None
    place = start
    while (place := source.find("$", place, state.posMax)) >= 0:
        if source[place - 1].isspace() or source[place + 1 : place + 2].isdecimal():
            return None
        if source[place - 1] != "\\":
            return place if place > start else None
        place += 1
    return None


def strikethrough(state: StateInline, silent: bool) -> bool:
    """One or two tildes, which as many of them end; three and more are text."""
    if silent or state.src[state.pos] != "~":
        return False
    run = state.scanDelims(state.pos, True)
    state.push("text", "", 0).content = "~" * run.length
    if run.length <= 2:
        state.delimiters.append(
            Delimiter(-run.length, 0, len(state.tokens) - 1, -1, run.can_open, run.can_close)
        )
    state.pos += run.length
    return True


def struck(state: StateInline) -> None:
    """Makes of pairs of tildes where something struck begins and ends."""
    inner = [meta["delimiters"] for meta in state.tokens_meta if meta]
    for delimiters in [state.delimiters, *inner]:
        for opener in delimiters:
            if opener.marker < 0 <= opener.end:
                for mark, nesting in ((opener, 1), (delimiters[opener.end], -1)):
                    token = state.tokens[mark.token]
                    token.type, token.tag, token.content = "del", "del", ""
                    token.nesting = nesting


def footnote(state: StateInline, silent: bool) -> bool:
    """A reference to a footnote that there is, `[^name]`; the name in capitals or not."""
    names = state.env.get("footnotes", {}).get("refs")
    reference = names and _FOOTNOTE.match(state.src, state.pos, state.posMax)
    if not reference:
        return False
    known = state.env.setdefault("names", {})
    if not known:
        known.update({folded(name.removeprefix(":")): name for name in reversed(names)})
    if folded(reference[1]) not in known:
        return False
    if silent:
        # As a bracket that is text: what is asked is whether there is a link in the link that is looked for.
        state.pos += 1
        return True
    state.push("footnote", "", 0).meta["name"] = folded(reference[1])
    state.pos = reference.end()
    return True


def folded(name: str) -> str:
    """The name as it is compared."""
    return " ".join(name.split()).casefold()


def bare_address(state: StateInline, silent: bool) -> bool:
    """`http://…` or `www.…` in a text, as a link."""
    source, start = state.src, state.pos
    if state.linkLevel or source[start] not in ":w":
        return False
    scheme = ""
    if source[start] == ":":
        found = _SCHEME.search(state.pending[-6:]) if source.startswith("://", start) else None
        if not found:
            return False
        scheme = found[1]
    # As GitHub does it: none in brackets, which may yet become a link.
    if source.rfind("[", 0, start) > source.rfind("]", 0, start):
        return False
    host_start = start + (3 if scheme else 4)
    host = _HOST.match(source, host_start, state.posMax)
    if not host or not _is_host(host[0]):
        return False
    rest = _TO_BLANK.match(source, host.end(), state.posMax)
    end = _end_of_address(source, start, rest.end() if rest else host.end())
    if end <= host_start:
        return False
    if not silent:
        if scheme:
            state.pending = state.pending[: -len(scheme)]
        address = scheme + source[start:end]
        push_link(state, address if scheme else "http://" + address, address)
    state.pos = end
    return True


def push_link(state: StateInline, url: str, words: str) -> None:
    """A link of nothing but words."""
    state.push("link_open", "a", 1).attrs["href"] = escaped_url(url)
    state.push("text", "", 0).content = words
    state.push("link_close", "a", -1)


def escaped_url(url: str) -> str:
    """The address with what may not be in one as `%20`."""
    host = _HOST_OF_NUMBERS.match(url)
    start = host.end() if host else 0
    return url[:start] + quote(url[start:], safe="-_.+!*(),%#@?=;:/$~&'")


def mail_addresses(words: str) -> list[tuple[int, int]]:
    """Where in a text mail addresses are: start and end of each."""
    found = []
    for address in _MAIL.finditer(words):
        host = address["host"]
        before = words[: address.start()]
        if "." in host and host[-1].isalpha() and before.count("[") <= before.count("]"):
            found.append(address.span())
    return found


def _is_host(host: str) -> bool:
    *_, above, last = ["", *host.split(".")]
    return "." in host and not ("_" in above + last and host.count(".") <= 10)


def _end_of_address(source: str, start: int, end: int) -> int:
    """Where an address ends that may be within a sentence or parentheses."""
    opened, closed = source.count("(", start, end), source.count(")", start, end)
    while end > start:
        last = source[end - 1]
        if last in "?!.,:*_~'\"":
            end -= 1
        elif last == ";":
            entity = _ENTITY_AT_END.search(source, max(start, end - 40), end)
            end = entity.start() if entity else end - 1
        elif last == ")" and closed > opened:
            closed -= 1
            end -= 1
        else:
            break
    return end


_COST_OF_PLACE = 5  # more rules, and longer ones, than for a line
_LINE_START = re.compile(r"\n[ \t]+")
_TASK = re.compile(r"\[([ xX])\](?:[ \t]|(?=\n)|\Z)")
_NOT_TEXT = re.compile(r"[\n!$&*:<\[\\\]^_`~]|(?<![^\s*_~(\[])www\.")
_FOOTNOTE = re.compile(r"\[\^([^\[\]\s]{1,999})\]")
_HOST_OF_NUMBERS = re.compile(r"(?i)[a-z][a-z0-9+.-]*://\[[0-9a-f:.]+\]")
_SCHEME = re.compile(r"(?<![A-Za-z])(https?|ftp)\Z")
_HOST = re.compile(r"[\w.\\-]+")
_TO_BLANK = re.compile(r"[^\s<]*")
_ENTITY_AT_END = re.compile(r"&[A-Za-z]+;\Z")
_MAIL = re.compile(
    r"(?<![A-Za-z0-9.+_-])(?:mailto:|xmpp:)?[A-Za-z0-9.+_-]++@"
    r"(?P<host>(?:[A-Za-z0-9_-]|\.(?=[A-Za-z0-9]))++)(?!@)"
)
