"""Markdown → HTML in Python alone, for where comrak cannot be installed: the HTML that comrak would write."""

import re
from collections.abc import Sequence
from html import escape

from markdown_it import MarkdownIt
from markdown_it.common.utils import unescapeAll
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.footnote.index import footnote_def

from app.markdown import python_rules as rules
from app.markdown.limits import TooIntricateError

# What takes seconds is too long; what is nested deeper than this is not shown formatted anyway.
LONGEST = 120_000
_DEEPEST = 105
_STEPS_PER_CHARACTER = 3


def to_html(text: str) -> str:
    """What comrak makes of the text, but that of the places only the lines where blocks begin are exact.

    Other places are there in blocks and formulas, and those of a formula in one line are as far apart as
    it is wide. Links, emphasis and so on have none.

    Raises TooIntricateError.
    """
    if len(text) > LONGEST:
        raise TooIntricateError("too long")
    # A last line of nothing but blanks would be passed over, unless it is ended.
    ended = text + "\n" if _BLANK_LAST_LINE.search(text) else text
    try:
        tokens = _PARSER.parse(ended, {"steps": _STEPS_PER_CHARACTER * len(text) + 50_000})
    except rules.TooMuch as error:
        raise TooIntricateError("too intricate") from error
    except RecursionError as error:
        raise TooIntricateError("too deep") from error
    if any(token.level > _DEEPEST - 2 for token in tokens):
        raise TooIntricateError("too deep")
    if ended != text:
        for token in tokens:
            if token.type in ("fence", "html_block") and token.map and token.map[1] == ended.count("\n"):
                token.content = token.content.removesuffix("\n")
    return _Writer(text, tokens).html()


class _Writer:
    """Writes tokens as comrak would write them."""

    def __init__(self, text: str, tokens: list[Token]) -> None:
        self._lines = text.split("\n")
        self._length = len(text)
        self._address_lengths = 0
        self._tokens, self._notes = _without_notes(tokens)
        self._references: dict[str, int] = {}  # names of footnotes, in order, and how often each is named
        self._parts: list[str] = []
        self._line = 1

    def html(self) -> str:
        self._write(self._tokens)
        bodies = {}
        # A footnote may name another, which is then the next.
        while missing := [name for name in self._references if name not in bodies]:
            bodies[missing[0]] = self._body(missing[0])
        if bodies:
            first = self._notes[next(iter(bodies))][0]
            self._parts.append(f'<section{self._place(first)} class="footnotes" data-footnotes><ol>')
            self._parts += [
                self._note(number, name, body) for number, (name, body) in enumerate(bodies.items(), 1)
            ]
            self._parts.append("</ol></section>")
        return "".join(self._parts)

    def _body(self, name: str) -> str:
        whole, self._parts = self._parts, []
        self._write(self._notes[name][1:])
        body = "".join(self._parts)
        self._parts = whole
        return body

    def _note(self, number: int, name: str, body: str) -> str:
        ident = rules.escaped_url(name)
        back = []
        for count in range(1, self._references[name] + 1):
            nth = f"-{count}" if count > 1 else ""
            sign = f'<sup class="footnote-ref">{count}</sup>' if count > 1 else ""
            back.append(
                f'<a href="#fnref-{ident}{nth}" class="footnote-backref" data-footnote-backref'
                f' data-footnote-backref-idx="{number}{nth}" aria-label="Back to reference {number}{nth}">'
                f"↩{sign}</a>"
            )
        is_paragraph = self._notes[name][-1].type == "paragraph_close"
        ways_back = " ".join(back)
        body = f"{body.removesuffix('</p>')} {ways_back}</p>" if is_paragraph else body + ways_back
        return f'<li{self._place(self._notes[name][0])} id="fn-{ident}">{body}</li>'

    def _write(self, tokens: Sequence[Token]) -> None:
        for token in tokens:
            match token.type:
                case "inline":
                    self._line = token.map[0] + 1 if token.map else 1
                    self._write_inline(token.children or [])
                case "fence" | "code_block":
                    self._write_code(token)
                case "html_block":
                    self._parts.append(_escaped(token.content))
                case "hr":
                    self._parts.append(f"<hr{self._place(token)} />")
                case "paragraph_open" | "paragraph_close" if token.hidden:
                    pass
                case _ if token.nesting < 0:
                    self._parts.append(f"</{token.tag}>")
                case _:
                    self._write_start(token)

    def _write_start(self, token: Token) -> None:
        name = token.tag
        place = "" if name in ("thead", "tbody") else self._place(token)
        if "start" in token.attrs:
            place += f' start="{token.attrs["start"]}"'
        if "style" in token.attrs:
            place += f' align="{str(token.attrs["style"]).removeprefix("text-align:")}"'
        self._parts.append(f"<{name}{place}>")
        if "done" in token.meta:
            done = 'checked="" ' if token.meta["done"] else ""
            self._parts.append(f'<input type="checkbox" {done}disabled="" /> ')

    def _write_code(self, token: Token) -> None:
        info = _BLANKS.split(unescapeAll(token.info).strip(), maxsplit=1)[0]
        language = f' class="language-{_escaped(info)}"' if info else ""
        self._parts.append(f"<pre{self._place(token)}><code{language}>{_escaped(token.content)}</code></pre>")

    def _write_inline(self, tokens: Sequence[Token]) -> None:
        depth = 0  # of links
        for token in tokens:
            depth += token.nesting if token.tag == "a" else 0
            match token.type:
                case "text" | "text_special":
                    self._write_text(token.content, is_linked=depth > 0)
                case "softbreak":
                    self._line += 1
                    self._parts.append("\n")
                case "hardbreak":
                    self._line += 1
                    self._parts.append("<br />")
                case "html_inline":
                    self._line += token.content.count("\n")
                    self._parts.append(_escaped(token.content))
                case "code_inline":
                    self._parts.append(f"<code>{_escaped(token.content)}</code>")
                case "formula":
                    self._write_formula(token)
                case "footnote":
                    self._write_reference(token.meta["name"])
                case "image":
                    self._count(token.attrs["src"])
                    url, alt = token.attrs["src"], _plain(token.children or [])
                    self._parts.append(f'<img src="{_url(url)}" alt="{_escaped(alt)}"{_title(token)} />')
                case "link_open":
                    self._count(token.attrs["href"])
                    self._parts.append(f'<a href="{_url(token.attrs["href"])}"{_title(token)}>')
                case _:
                    self._parts.append(f"</{token.tag}>" if token.nesting < 0 else f"<{token.tag}>")

    def _write_text(self, text: str, *, is_linked: bool) -> None:
        position = 0
        if "@" in text and not is_linked:
            for start, end in rules.mail_addresses(text):
                address = text[start:end]
                url = address if ":" in address else "mailto:" + address
                self._parts += [_escaped(text[position:start]), f'<a href="{_url(url)}">{address}</a>']
                position = end
        self._parts.append(_escaped(text[position:]))

    def _count(self, url: object) -> None:
        """One long address may be that of many links."""
        self._address_lengths += len(str(url))
        if self._address_lengths > 100_000 + 10 * self._length:
            raise TooIntricateError("too long addresses")

    def _write_formula(self, token: Token) -> None:
        start = self._line
        self._line += token.meta["lines"]
        self._parts.append(
            f'<span data-math-style="{token.meta["style"]}" '
            f'data-sourcepos="{start}:1-{self._line}:{token.meta["width"]}">'
            f"{_escaped(token.content)}</span>"
        )

    def _write_reference(self, name: str) -> None:
        count = self._references[name] = self._references.get(name, 0) + 1
        number = [*self._references].index(name) + 1
        ident = rules.escaped_url(name)
        nth = f"-{count}" if count > 1 else ""
        self._parts.append(
            f'<sup class="footnote-ref"><a href="#fn-{ident}" id="fnref-{ident}{nth}" data-footnote-ref>'
            f"{number}</a></sup>"
        )

    def _place(self, token: Token) -> str:
        if not token.map:
            return ""
        start, end = token.map
        while end > start + 1 and not self._lines[end - 1].strip():
            end -= 1
        return f' data-sourcepos="{start + 1}:1-{end}:{len(self._lines[end - 1].encode())}"'


def _without_notes(tokens: list[Token]) -> tuple[list[Token], dict[str, list[Token]]]:
    """The tokens outside of footnotes, and those of each footnote, with the one that opens it."""
    main: list[Token] = []
    notes: dict[str, list[Token]] = {}
    open_notes: list[list[Token]] = [main]
    for token in tokens:
        if token.type == "footnote_reference_open":
            open_notes.append([token])
            notes.setdefault(rules.folded(token.meta["label"]), open_notes[-1])
        elif token.type == "footnote_reference_close":
            open_notes.pop()
        else:
            open_notes[-1].append(token)
    return main, notes


def _plain(tokens: Sequence[Token]) -> str:
    """The words of a description, without their form."""
    words = {"softbreak": " ", "hardbreak": " "}
    return "".join(
        words.get(token.type) or (_plain(token.children) if token.children else token.content)
        for token in tokens
    )


def _escaped(text: str) -> str:
    return escape(text, quote=False).replace('"', "&quot;")


def _url(url: object) -> str:
    return escape(str(url))


def _title(token: Token) -> str:
    title = token.attrs.get("title")
    return f' title="{_escaped(str(title))}"' if title else ""


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"maxNesting": _DEEPEST, "html": True})
    parser.enable(["table", "strikethrough"])
    parser.disable("text_join")  # a character after a backslash is no part of an address
    parser.block.ruler.at("reference", rules.definition, {"alt": []})
    footnote_plugin(parser, inline=False, move_to_end=False)
    parser.block.ruler.at(
        "footnote_def", footnote_def, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    parser.block.ruler.before(
        "table", "count", rules.count_line, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    parser.inline.ruler.after("text", "count", rules.count_place)
    skip = parser.inline.skipToken

    def counted_skip(state: StateInline) -> None:
        rules.count_skip(state)
        skip(state)

    # Of what brackets within brackets cost this is most, and no rule sees it.
    parser.inline.skipToken = counted_skip  # type: ignore[method-assign]
    parser.core.ruler.before("inline", "unfold", rules.unfold)
    parser.inline.ruler.at("text", rules.text)
    parser.inline.ruler.at("strikethrough", rules.strikethrough)
    parser.inline.ruler2.at("strikethrough", rules.struck)
    parser.inline.ruler.at("footnote_ref", rules.footnote)
    parser.inline.ruler.before("escape", "formula", rules.formula)
    parser.inline.ruler.after("text", "bare_address", rules.bare_address)
    parser.normalizeLink = rules.escaped_url  # type: ignore[method-assign] # as its documentation asks
    parser.normalizeLinkText = str  # type: ignore[method-assign, assignment] # as it is written
    parser.validateLink = lambda url: True  # type: ignore[method-assign] # what comes after this looks at addresses
    return parser


_BLANK_LAST_LINE = re.compile(r"(?:^|\n)[ \t]+\Z")
_BLANKS = re.compile(r"\s")
_PARSER = _parser()
