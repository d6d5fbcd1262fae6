"""Renderings: what each answer shows, rendered once for all its readers, with what a reader can act on.

The renderer's blocks get what no sanitizer would let through: ids, copy buttons, links to footnotes, tables
that the keyboard reaches. It is put where no text can write.
"""

import asyncio
import re
from dataclasses import dataclass
from itertools import count
from threading import Lock
from weakref import WeakValueDictionary

from app.markdown import NOTHING, Rendering, grown, is_loaded

# In characters.
_LONG = 8_000
_KEPT = 64
# Only footnotes are written so.
_REFERENCE = re.compile(r"<sup>(\d+)</sup>")
_NOTE = re.compile(r'<li class="footnote">')
# Where `render` puts a code block's head before its code; nothing in a text can write this.
_CODE = "</div><pre>"
# What scrolls in itself must be reached by the keyboard.
_TABLE = '<div class="table">'
_REACHABLE_TABLE = '<div class="table" tabindex="0" role="group" aria-label="Table">'


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Shown:
    """What is shown of a text at one place."""

    text: str = ""
    running: bool = False
    rendering: Rendering = NOTHING
    blocks: tuple[str, ...] = ()
    """Rendered, with a copy button at each piece of code."""

    @classmethod
    def after(cls, before: "Shown", place: str, text: str, *, running: bool) -> "Shown":
        """What is to be shown now, with the settled blocks as they were."""
        rendering = grown(before.rendering, text, running=running)
        old = before.rendering.blocks
        kept = before.rendering.settled if text.startswith(before.rendering.settled_text) else 0
        kept = min(kept, rendering.settled)
        new = (
            before.blocks[number] if html in old[number : number + 1] else _with_controls(place, number, html)
            for number, html in enumerate(rendering.blocks[kept:], kept)
        )
        return cls(text, running, rendering, (*before.blocks[:kept], *new))


_NOTHING = Shown()


async def shown(place: str, text: str, *, running: bool = False) -> Shown:
    """`shown_now`, beside the event loop where that takes long."""
    if is_long(place, text):
        return await asyncio.to_thread(shown_now, place, text, running=running)
    return shown_now(place, text, running=running)


def shown_now(place: str, text: str, *, running: bool = False, seen: Shown = _NOTHING) -> Shown:
    """What is to be shown of a text, to a reader who has `seen` something of it there.

    The place is the answer's id, with a letter for another text than its own: `7`, `7r`. What was shown
    last at a place is remembered for as long as any reader holds it, so that all readers of an answer share
    one rendering, and only what is new in it is rendered.
    """
    if not text:
        return _NOTHING
    known = _latest.get(place, _NOTHING)
    if (known.text, known.running) == (text, running):
        return known
    # Who catches up is shown less than others were: then what they have seen is the beginning.
    before = max(known, seen, key=lambda one: _settled_length(one, text))
    new = Shown.after(before, place, text, running=running)
    # Who comes back asks for what was shown earlier: that is not what will be asked for next.
    if not known.text.startswith(text) or not running:
        with _lock:
            _latest[place] = new
            _kept.pop(place, None)
            _kept[place] = new
            if len(_kept) > _KEPT:
                del _kept[next(iter(_kept))]
    return new


def is_long(place: str, text: str) -> bool:
    """Whether to render a text takes more than a millisecond: so much is unsettled, or it is the first."""
    return not is_loaded() or len(text) - _settled_length(_latest.get(place, _NOTHING), text) > _LONG


def _settled_length(known: Shown, text: str) -> int:
    """How much of a text is settled in what is known, in characters."""
    settled = known.rendering.settled_text
    return len(settled) if text.startswith(settled) else 0


# Threads may find one another's work there, or do it twice; what they find is never wrong.
_latest: WeakValueDictionary[str, Shown] = WeakValueDictionary()
# The last ones, whoever holds them: readers may be on the way, as a page is followed by its stream.
_kept: dict[str, Shown] = {}
_lock = Lock()


def block_id(place: str, number: int) -> str:
    """The id of a block in a page."""
    return f"m{place}-{number}"


def _with_controls(place: str, number: int, html: str) -> str:
    """A block with what a reader can do with it: copy code, scroll tables, follow footnotes."""
    if "<sup>" in html:
        html = _REFERENCE.sub(rf'<sup><a href="#note-{place}-\1" aria-label="Footnote \1">\1</a></sup>', html)
    if html.startswith('<section class="footnotes">'):
        notes = count(1)
        html = _NOTE.sub(lambda _: f'<li class="footnote" id="note-{place}-{next(notes)}">', html)
    first, *rest = html.replace(_TABLE, _REACHABLE_TABLE).split(_CODE)
    shown = [first]
    for code, part in enumerate(rest):
        code_id = f"{block_id(place, number)}-{code}"
        shown.append(f'{_copy_button(code_id)}</div><pre id="{code_id}" tabindex="0">{part}')
    return "".join(shown)


def _copy_button(code_id: str) -> str:
    # Role and tabindex are what the element gives itself; a morph would take them away again.
    return (
        f'<clipboard-copy for="{code_id}" class="copy" role="button" tabindex="0">Copy code</clipboard-copy>'
    )
