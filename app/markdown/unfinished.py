"""Unfinished Markdown: a text that is still being written, as it will most likely read.

Half a mark says nothing yet, so it waits; what was begun is shown as if it ended here. This is about
looks only: an answer that has ended is shown as what it is.
"""

import re


def without_undecided_end(text: str) -> str:
    """The text without a last line, or table head, of which nobody can say yet what it is.

    A `-` may begin a list or turn the line before it into a heading, `|` may be a table, backticks may
    end the code that they stand in.
    """
    start = text.rfind("\n") + 1
    if len(text) - start < _LONGEST_UNDECIDED and _UNDECIDED_LINE.fullmatch(text, start):
        text = text[:start]
    part = _start_of_part(text)
    return text[:part] if _TABLE_HEAD.fullmatch(text, part) else text


def completed(text: str) -> str:
    """The text with what its last paragraph has begun brought to an end; of half a link only its text."""
    start = _start_of_part(text)
    for beginning in _BEGINNING.finditer(text, start):
        start = beginning.end()
    if len(text) - start > _LONGEST_PARAGRAPH:
        return text
    inline = _Inline(text[start:])
    return text[:start] + inline.completed()


def _start_of_part(text: str) -> int:
    """Where what follows the last empty line begins."""
    return text.rfind("\n\n") + 2 if "\n\n" in text else 0


class _Inline:
    """The text of one paragraph, heading, item or cell, and what is open at its end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._open: list[tuple[str, int]] = []  # marks, and where what they mark begins
        self._brackets: list[tuple[int, int]] = []  # where a link begins, and where its text does
        self._end = len(text)  # what is behind it is not shown
        self._endless: set[str] = set()  # what begins code or formulas and has no end any more
        position = 0
        while mark := _MARK.search(text, position):
            position = self._read(mark)

    def completed(self) -> str:
        """The text, brought to an end."""
        text = self._text[: self._end].rstrip()
        # What was begun and has nothing in it yet waits.
        while self._open and len(text) <= self._open[-1][1]:
            mark, start = self._open.pop()
            text = text[: start - len(mark)].rstrip()
        if not self._open and not self._brackets and self._end == len(self._text):
            return self._text
        ends = ""
        for mark, start in reversed(self._open):
            if mark in _ENDS:
                # Half a formula is shown as what is written of it.
                source = " ".join(text[start:].split())
                text = f"{text[: start - len(mark)]}{_QUOTE} {source} {_QUOTE}"
            elif len(text) - start <= _LONGEST_OPEN:
                ends += mark
        for begin, start in reversed(self._brackets):
            text = text[:begin] + text[start:]
        return text + ends

    def _read(self, mark: re.Match[str]) -> int:
        """Take note of a mark; where to look for the next one."""
        match mark.lastgroup:
            case "verbatim":
                return self._read_verbatim(mark)
            case "angle":
                self._end = mark.start()
                return len(self._text)
            case "bracket" if mark[0] == "]":
                return self._read_end_of_bracket(mark)
            case "bracket":
                return self._read_bracket(mark)
            case "run":
                self._read_run(mark)
        return mark.end()

    def _read_verbatim(self, mark: re.Match[str]) -> int:
        """Code or a formula: what looks like a mark in it is none."""
        begin, rest = mark[0], mark.end()
        if begin not in self._endless:
            end = re.escape(_ENDS.get(begin, begin))
            found = re.compile(rf"(?<!`){end}(?!`)" if begin[0] == "`" else end).search(self._text, rest)
            if found:
                return found.end()
            self._endless.add(begin)
        is_display = mark.start() == 0 and begin in ("$$", r"\[")
        is_money = begin[0] == "$" and not is_display and not _TEX.search(self._text, rest)
        if is_money or (len(self._text) - rest > _LONGEST_OPEN and not is_display):
            return rest
        if not _WORD.search(self._text, rest):
            self._end = mark.start()
            return len(self._text)
        if begin[0] == "`":
            self._end = len(self._text.rstrip("`"))  # half of an end
        self._open.append((begin, rest))
        return len(self._text)

    def _read_bracket(self, mark: re.Match[str]) -> int:
        follows = self._at(mark.end())
        if follows in ("^", "") and self._text.find("]", mark.end(), mark.end() + _LONGEST_LABEL) < 0:
            # A footnote, or nothing yet.
            self._end = mark.start()
            return len(self._text)
        if follows not in ("^", " ", "\n") and not self._at(mark.start() - 1).isalnum():
            self._brackets.append((mark.start(), mark.end()))
        return mark.end()

    def _read_end_of_bracket(self, mark: re.Match[str]) -> int:
        if not self._brackets:
            return mark.end()
        if mark.end() == len(self._text):
            self._end = mark.start()
            return mark.end()
        if self._at(mark.end()) == "[" and self._text.find("]", mark.end()) < 0:
            self._end = mark.start()
            return len(self._text)
        if self._at(mark.end()) != "(":
            self._brackets.pop()
            return mark.end()
        address = _ADDRESS.match(self._text, mark.end())
        if address is None:
            self._end = mark.start()
            return len(self._text)
        self._brackets.pop()
        return address.end()

    def _read_run(self, mark: re.Match[str]) -> None:
        """Stars, underscores or tildes: they begin or end what is between them."""
        run, before, after = mark[0], self._at(mark.start() - 1), self._at(mark.end())
        if run[0] == "~" and len(run) != 2:
            self._end = self._end if after else mark.start()
            return
        within_word = before.isalnum() and after.isalnum()
        may_begin = bool(after) and not after.isspace() and not within_word
        may_end = bool(before) and not before.isspace() and not (within_word and run[0] == "_")
        left = len(run)
        while may_end and self._open and self._open[-1][0][0] == run[0] and len(self._open[-1][0]) <= left:
            left -= len(self._open.pop()[0])
        if left and not after:
            # Half of an end, or a beginning of nothing.
            self._end = mark.end() - left
        elif may_begin and 0 < left <= 3:
            # What began before and has not ended was no beginning, as it seems.
            self._open = [(begun, start) for begun, start in self._open if begun != run[0] * left]
            self._open.append((run[0] * left, mark.end()))

    def _at(self, position: int) -> str:
        """The character at a position, if there is one."""
        return self._text[position : position + 1] if position >= 0 else ""


# In characters.
_LONGEST_UNDECIDED = 200
_LONGEST_LABEL = 1_000
# A longer one is not looked through for what it has begun: its end is a small part of it.
_LONGEST_PARAGRAPH = 20_000
# What is open for longer was not meant so, but for a formula with lines of its own.
_LONGEST_OPEN = 200

# What stands in front of a line: the quotes and items that it is in.
_MARGIN = r"[ \t>]*+(?:(?:[-+*]|\d{1,9}[.)])[ \t]+)*+"
_UNDECIDED_LINE = re.compile(
    rf"{_MARGIN}(?:[-+*_=~`#|:> \t$]*|\d{{1,9}}[.)]?|\[[ xX]?\]?|\[[^\]\n]*\]:[^\n]*|(?:```+|~~~+)[^`\n]*)"
    r"[ \t]*"
)
_TABLE_HEAD = re.compile(r"[ \t]{0,3}\|[^\n]*+(?:\n[ \t|:-]*+)?")
_BEGINNING = re.compile(
    rf"^(?:{_MARGIN}(?:\#{{1,6}}[ \t]|\|(?:[^\n]*\|)?)|[ \t>]*+(?:(?:[-+*]|\d{{1,9}}[.)])[ \t]+)++)",
    re.MULTILINE,
)
_MARK = re.compile(
    r"\\[^\w\s()\[\]]|(?P<verbatim>`+|\$\$|(?<![\w$])\$(?=[^\s$])|\\\(|\\\[)|(?P<angle><(?:https?|mailto):[^\s>]*\Z)"
    r"|(?P<bracket>!?\[|\])|(?P<run>\*+|_+|~+)"
)
_ADDRESS = re.compile(r"\((?:\\.|[^()\\]|\([^()]*\))*\)")
_ENDS = {r"\(": r"\)", r"\[": r"\]", "$$": "$$", "$": "$"}
_QUOTE = "`" * 9
_TEX = re.compile(r"\\[A-Za-z]|\^|[A-Za-z)]_")
_WORD = re.compile(r"\S")
