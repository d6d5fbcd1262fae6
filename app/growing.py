"""A growing answer: HTML that is only ever appended to, for a page that streams without scripts."""

from collections.abc import Callable, Sequence

from app.fragments import BLOCK, CLOSING_TAGS, TAG, VOID

# What stands before it has a newer version behind it. A mark of its own, since browsers do not look again at
# what follows an element while that is still being read.
SUPERSEDED = '<hr class="superseded" hidden>'


class GrowingPage:
    """An answer's reasoning, folded, and then its text, as HTML that is only ever appended to.

    `around` gives the HTML before and behind the reasoning, with what to call it. Reasoning that comes
    after the text has begun has no place here: the conversation's ordinary page shows it.
    """

    def __init__(self, around: Callable[[str], tuple[str, str]]) -> None:
        self._around = around
        self._reasoning: GrowingAnswer | None = None
        self._text: GrowingAnswer | None = None
        self._thought = ""

    def advance(self, text: tuple[str, ...], reasoning: tuple[str, ...], thought: str) -> str:
        """The HTML to append for these blocks to be shown, and for the reasoning to be called so."""
        self._thought = thought
        grown = ""
        if self._text is None and (reasoning or self._reasoning):
            if self._reasoning is None:
                self._reasoning = GrowingAnswer()
                grown = self._around(thought)[0]
            grown += self._reasoning.advance(reasoning)
        if self._text is None and text:
            grown += self._end_of_reasoning()
            self._text = GrowingAnswer()
        return grown + (self._text.advance(text) if self._text else "")

    def end(self) -> str:
        """Close what is open."""
        return self._text.end() if self._text else self._end_of_reasoning()

    def _end_of_reasoning(self) -> str:
        return self._reasoning.end() + self._around(self._thought)[1] if self._reasoning else ""


class GrowingAnswer:
    """An answer as one HTML document that can only be appended to, for a page without scripts.

    What was sent cannot be taken back. A block that grows otherwise than at its end is sent again
    behind itself, and the whole answer if an earlier block changed; the style hides what stands
    before a mark (`superseded`).
    """

    def __init__(self) -> None:
        self._blocks: tuple[str, ...] = ()
        self._open = ""
        self._begun = False

    def advance(self, new: tuple[str, ...]) -> str:
        """The HTML to append for these blocks to be shown; leaves the last block's elements open."""
        old, self._blocks = self._blocks, new
        if not old:
            if not new:
                return ""
            beginning, self._begun = "" if self._begun else '<div class="prose">', True
            return beginning + self._append(new, 0)
        if not new:
            closed, self._open = self._close(), ""
            return closed + f'</div>{SUPERSEDED}<div class="prose again">'
        last = len(old) - 1
        if len(new) <= last or new[:last] != old[:last]:
            return self._close() + f'</div>{SUPERSEDED}<div class="prose again">' + self._append(new, 0)
        settled = len(new) > len(old)
        target = new[last] if settled else _without_end(new[last])
        if target.startswith(self._open):
            grown, self._open = target[len(self._open) :], target
        else:
            grown, self._open = (
                f'{self._close()}{SUPERSEDED}<div class="block again" dir="auto">{target}',
                target,
            )
        return grown + (self._append(new, last + 1) if settled else "")

    def end(self) -> str:
        """Close what is open."""
        return (self._close() if self._blocks else "") + ("</div>" if self._begun else "")

    def _append(self, new: Sequence[str], start: int) -> str:
        """Blocks from `start` on, the last one left open; a block before them is closed first."""
        parts = [self._close()] if start else []
        parts += [f"{BLOCK}>{html}</div>" for html in new[start:-1]]
        self._open = _without_end(new[-1])
        return "".join(parts) + f"{BLOCK}>{self._open}"

    def _close(self) -> str:
        """End the elements that are open in the last block, and the block."""
        open_elements: list[str] = []
        for closing, name in TAG.findall(self._open):
            if closing:
                open_elements.pop()
            elif name not in VOID:
                open_elements.append(name)
        return "".join(f"</{name}>" for name in reversed(open_elements)) + "</div>"


def _without_end(html: str) -> str:
    return CLOSING_TAGS.sub("", html)
