"""Fragments: what a page must change to go from the blocks that it has to the blocks that there are.

Each block of an answer stands in an element of its own, with an id made of the answer's and the block's
number; a fragment names the element that it changes. Of a block that changed the smallest last part is
sent; the others are not sent. Most of what is sent only goes on where the text stands: that goes without a
name, to the one place that the stream itself names (`tip`).
"""

import asyncio
import re
from collections.abc import Iterable, Sequence

from markupsafe import Markup

from app.renderings import Shown, block_id, is_long, shown_now

# A block reads in the direction of its own text, whatever stands in another.
BLOCK = '<div class="block" dir="auto"'
CLOSING_TAGS = re.compile(r"(?:</[a-z0-9-]+>)+$")
TAG = re.compile(r"<(/?)([a-z][a-z0-9-]*)[^>]*>")
VOID = {"br", "hr", "img", "input", "wbr"}
# A paragraph or heading, code, the last item of a list, and that of a list in it.
_SIMPLE_ITEM = "li:last-child:not(:has(>:is(p,ul,ol,div,blockquote)))"
_TIPS = (
    ">:is(p,h1,h2,h3,h4,h5,h6)",
    ">.code>pre>code",
    f">:is(ul,ol)>{_SIMPLE_ITEM}",
    ">:is(ul,ol)>li:last-child>p:last-child",
    f">:is(ul,ol)>li:last-child>:is(ul,ol):last-child>{_SIMPLE_ITEM}",
)
_ENDS_OF_LISTS = re.compile(r"(?:</p></li></[uo]l>|(?:</li></[uo]l>){1,2})$")
_NOT_SIMPLE = re.compile(r"</li>|<(?:p|div|blockquote)[ >]")
# A bare piece of nothing but blanks is left out by htmx. To it U+FEFF is one, and a no-break space, which the
# sanitizer writes so.
_MORE_THAN_BLANKS = re.compile(r"(?:&nbsp;|[\s\ufeff])*+.", re.DOTALL)
_STEP = 256
_DEEPEST = 12


def page_blocks(place: str, shown: Iterable[str]) -> Markup:
    """Blocks as a page holds them, each in its element."""
    # Safe: `render` is the sanitizer's last word, and the rest is numbers.
    return Markup("".join(_element(place, number, html) for number, html in enumerate(shown)))  # noqa: S704 - as said above


def changes(place: str, seen: Sequence[str] | None, now: Sequence[str], *, bare: bool = False) -> str:
    """The fragments that turn the blocks of a page into those that there are; `seen` is None if unknown.

    With `bare`, what goes on at the `tip` comes first, and without an element around it.
    """
    if seen is None:
        elements = "".join(_element(place, number, html) for number, html in enumerate(now))
        return _fragment(f"#message-{place}-blocks", "innerMorph", elements)
    same = _same(seen, now)
    changed = [
        _change(place, number, seen[number], now[number], bare=bare and number == len(seen) - 1)
        for number in range(same, min(len(seen), len(now)))
        if seen[number] != now[number]
    ]
    gone = [_fragment(f"#{block_id(place, n)}", "delete", "") for n in range(len(now), len(seen))]
    added = "".join(_element(place, n, now[n]) for n in range(len(seen), len(now)))
    appended = _fragment(f"#message-{place}-blocks", "append", added) if added else ""
    # A bare piece is first, whatever else changes.
    return "".join(reversed(changed)) + "".join(gone) + appended


def tip(place: str | int) -> str:
    """The CSS selector of the place where the text of an answer goes on, most of the time.

    One selector, with the id in it: in a list of several a browser looks through all of the page.
    """
    within = ",".join(f".block{tip}" for tip in _TIPS)
    return f"#message-{place}-blocks>:last-child :is({within})"


async def step(
    place: str, seen: Shown | None, text: str, *, running: bool, bare: bool = False
) -> tuple[Shown, str]:
    """What is shown of a text now, and the `changes` to that; beside the event loop where it takes long."""

    def taken() -> tuple[Shown, str]:
        now = shown_now(place, text, running=running, seen=seen or Shown())
        if now is seen:
            return now, ""
        return now, changes(place, seen.blocks if seen else None, now.blocks, bare=bare)

    return await asyncio.to_thread(taken) if is_long(place, text) else taken()


def _same(seen: Sequence[str], now: Sequence[str]) -> int:
    """How many of the first blocks are the same, at least; in steps, since there can be many thousands."""
    same = 0
    while same < len(seen) and seen[same : same + _STEP] == now[same : same + _STEP]:
        same += _STEP
    return min(same, len(seen))


def _change(place: str, number: int, old: str, new: str, *, bare: bool) -> str:
    added = _added_at_tip(old, new) if bare else ""
    if _MORE_THAN_BLANKS.match(added):
        return added
    return _inner_change(f"#{block_id(place, number)}", old, new)


def _added_at_tip(old: str, new: str) -> str:
    """What was added where `tip` points in a block, if nothing else changed."""
    end = _behind_tip(old)
    begin = old.removesuffix(end)
    if not end or not new.startswith(begin) or not new.endswith(end):
        return ""
    added = new[len(begin) : -len(end)]
    return added if is_balanced(added) else ""


def _behind_tip(block: str) -> str:
    """What is behind the place in a block where `tip` points; empty if it points nowhere in it."""
    match block[1:2]:
        case "p" | "h" if block.startswith(("<p>", "<h1", "<h2", "<h3", "<h4", "<h5", "<h6")):
            return block[block.rfind("</") :]
        case "d" if block.startswith('<div class="code">'):
            return "</code></pre></div>"
        case "u" | "o":
            found = _ENDS_OF_LISTS.search(block)
            start = block.rfind("<p>" if found and found[0].startswith("</p>") else "<li>")
            if found and not _NOT_SIMPLE.search(block, start + 3, found.start()):
                return found[0]
    return ""


def _inner_change(target: str, old: str, new: str) -> str:
    """What turns one element's inner HTML into another: as little of its end as possible.

    Of the elements that it ends with, each the last in the one around it, only the innermost is sent in
    front of which nothing changed, and what came behind it and behind those around it: a growing list
    sends its last item, a growing table its last cell.
    """
    if new.startswith(old):
        return _fragment(target, "append", new[len(old) :])
    closing = CLOSING_TAGS.search(old)
    end = closing.start() if closing else len(old)
    open_elements = _open_at(old, end)
    for depth in range(min(len(open_elements), _DEEPEST), 0, -1):
        start = open_elements[depth - 1].end()
        if new.startswith(old[:start]):
            around = open_elements[depth:]
            old_end = end + sum(len(f"</{tag[2]}>") for tag in around)
            return _change_within(target, old[start:old_end], new, start, depth)
    return _fragment(target, "innerMorph", new)


def _open_at(html: str, position: int) -> list[re.Match[str]]:
    """The tags of the elements that are open at a position, the outermost first."""
    tags: list[re.Match[str]] = []
    for tag in TAG.finditer(html, 0, position):
        if tag[1]:
            tags.pop()
        elif tag[2] not in VOID:
            tags.append(tag)
    return tags


def _change_within(target: str, old: str, new: str, start: int, depth: int) -> str:
    """The same for the element so deep that it begins in `new` at `start`, and what is behind its end."""
    fragments: list[str] = []
    nested = 0
    for tag in TAG.finditer(new, start):
        if not tag[1]:
            nested += tag[2] not in VOID
        elif nested:
            nested -= 1
        else:
            inner = new[start : tag.start()]
            element = target + ">:last-child" * depth
            if not fragments and not inner.startswith(old):
                fragments.append(_fragment(element, "innerMorph", inner))
            elif more := inner.removeprefix(old):
                fragments.append(_fragment(element, "append", more))
            start, old, depth = tag.end(), "", depth - 1
            if not depth:
                break
    if start < len(new):
        fragments.append(_fragment(target, "append", new[start:]))
    return "".join(fragments)


def is_balanced(html: str) -> bool:
    """Whether every element in it begins and ends in it."""
    open_elements: list[str] = []
    for closing, name in TAG.findall(html):
        if name in VOID:
            continue
        if not closing:
            open_elements.append(name)
        elif not open_elements or open_elements.pop() != name:
            return False
    return not open_elements


def _element(place: str, number: int, html: str) -> str:
    return f'{BLOCK} id="{block_id(place, number)}">{html}</div>'


def _fragment(target: str, swap: str, html: str) -> str:
    return f'<hx-partial hx-target="{target}" hx-swap={swap}>{html}</hx-partial>'
