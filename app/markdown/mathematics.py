r"""Mathematics: one TeX formula → MathML that is safe to show.

Pure: a function of the formula, which is a language model's, so anyone's. The library escapes what it
does not know as TeX and offers no links, but it has no bounds and writes inline styles: the bounds are
here, and its elements are written anew, with known attributes and classes only.

    TeX ─► bounds ─► what the library lacks, in its words ─► math-core ─► our elements ─► MathML

The source stays out of the result: as `alttext` it would be a stranger's text in an attribute, as
`annotation` twice the bytes; screen readers read the elements themselves.
"""

import re
from functools import lru_cache
from itertools import accumulate

from math_core import LatexToMathML

# The library calls itself at most once for each brace and command: 2 kB of stack each, and
# some stacks are no larger than 1 MB. For `~` and `'` it takes more than its time.
_LONGEST = 4_000
_MOST_NESTING = 500
_MOST_TIES = 200
# Elements in elements: browsers and the sanitizer have their limits too.
_DEEPEST = 100

_ELEMENTS = """
math menclose mfrac mi mmultiscripts mn mo mover mpadded mphantom mprescripts mroot mrow mspace msqrt
msub msubsup msup mtable mtd mtext mtr munder munderover
"""
TAGS = frozenset(_ELEMENTS.split())
"""The elements of a formula."""

_SPACES = "0 0.1667em 0.2222em 0.2778em"
_WIDTHS = """
0.16666667em 0.1667em 0.22222222em 0.2777778em 0.33333334em 0.4286em 0.44444445em 0.5em 0.6666667em 1em 2em
"""
_SIZES = "1.2em 1.623em 2.047em 2.470em"
_STYLE = {"displaystyle": "true false", "scriptlevel": "0 1 2"}
_VALUES: dict[str, dict[str, str]] = {
    "math": {"display": "block"},
    "mfrac": {"linethickness": "0", **_STYLE},
    "mi": {"mathvariant": "normal"},
    "mo": {
        "form": "infix postfix prefix",
        "lspace": _SPACES,
        "maxsize": _SIZES,
        "minsize": _SIZES,
        "movablelimits": "true false",
        "rspace": _SPACES,
        "stretchy": "true false",
        "symmetric": "true",
    },
    "mover": {"accent": "true"},
    "mpadded": {"height": "0", "width": "0"},
    "mrow": _STYLE,
    "mspace": {"width": _WIDTHS},
    "mtable": _STYLE,
    "munder": {"accentunder": "true"},
}
ATTRIBUTES: dict[str, dict[str, set[str]]] = {
    tag: {name: set(values.split()) for name, values in attributes.items()}
    for tag, attributes in _VALUES.items()
}
"""Each element's attributes with their values: nh3's `tag_attribute_values`."""

CLASSES: dict[str, set[str]] = {
    "menclose": {"math-box", "math-down", "math-up"},
    "mspace": {"math-back"},
    "mtable": {"math-line-top"},
    "mtd": {
        "math-flush-end",
        "math-flush-start",
        "math-gap",
        "math-left",
        "math-line-end",
        "math-line-top",
        "math-right",
        "math-tight",
    },
}
"""Each element's classes: nh3's `allowed_classes`."""


@lru_cache(maxsize=4096)
def mathml(source: str, *, display: bool) -> str | None:
    """The formula as a `<math>` element; None where it has no TeX that we know, or too much of it."""
    if len(source) > _LONGEST or not source.strip() or _DEFINITION.search(source):
        return None
    if len(_NESTING.findall(source)) > _MOST_NESTING or source.count("~") + source.count("'") > _MOST_TIES:
        return None
    try:
        # Made anew, which costs 8 µs: one that has failed inside stays locked.
        converter = LatexToMathML(macros=_MACROS, fancy_error=False, allow_unreliable_rendering=True)
        html = converter.convert_with_local_state(_in_known_words(source), displaystyle=display)
    except Exception:
        return None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # the library's own, which is no Exception
            raise
        return None
    steps = (-1 if tag["end"] else not tag["empty"] for tag in _TAG.finditer(html))
    if max(accumulate(steps)) > _DEEPEST:
        return None
    # Written as the sanitizer writes it, so that it has nothing to change.
    return _TAG.sub(_rewritten, _EMPTY_STRIKE.sub("", html)).replace("\xa0", "&nbsp;")


@lru_cache(maxsize=4096)
def is_prose(source: str) -> bool:
    r"""Whether what stands between two dollar signs is no formula: `$5 (cheap) and 10$`, `$HOME/$`."""
    if len(source) > _LONGEST:
        return True
    text = source.strip()
    if _TEX.search(text):
        return False
    if _SHELL.search(text) or text.count("(") > text.count(")"):
        return True
    words = [word for word in _WORD.findall(text) if word.lower() not in _FUNCTIONS]
    if any(word.lower() in _STOP_WORDS for word in words):
        return True
    if _RELATION.search(text):
        return False
    return _AMOUNT_OF_SOMETHING.search(text) is not None or _PHRASE.search(" ".join(words)) is not None


def _in_known_words(source: str) -> str:
    r"""The formula without what the library does not know, or numbers by itself (each formula from 1)."""
    for pattern, replacement in _OTHERWISE:
        source = pattern.sub(replacement, source)
    if r"\tag" in source and not _NUMBERED.search(source):
        source = rf"\begin{{equation*}}{source}\end{{equation*}}"
    return source


def _rewritten(tag: re.Match[str]) -> str:
    """A tag of the library with the attributes and classes that we know; none for HTML in text."""
    name = tag["name"]
    if name not in TAGS:
        return ""
    if tag["end"]:
        return f"</{name}>"
    attributes, classes = "", set()
    for attribute, value in _ATTRIBUTE.findall(tag["attributes"]):
        if attribute in ("style", "notation"):
            classes |= {known for pattern, known in _CLASS_OF if pattern in value}
        elif value in ATTRIBUTES.get(name, {}).get(attribute, ()):
            attributes += f' {attribute}="{value}"'
    if shown := sorted(classes & CLASSES.get(name, set())):
        attributes += f' class="{" ".join(shown)}"'
    return f"<{name}{attributes}>" + (f"</{name}>" if tag["empty"] else "")


_NESTING = re.compile(r"\{|\\[A-Za-z]+|\\.")
# What a formula defines could be its own bound many times over.
_DEFINITION = re.compile(r"\\(?:[egx]?def|let|global|futurelet|(?:re|provide)?(?:new)?command)(?![A-Za-z])")
_MACROS = {
    "abs": r"\left\lvert #1\right\rvert",
    "hbox": r"\text{#1}",
    "hdots": r"\dots",
    "mathnormal": r"\mathit{#1}",
    "mbox": r"\text{#1}",
    "norm": r"\left\lVert #1\right\rVert",
    "smash": "#1",
    "substack": r"\begin{subarray}{c}#1\end{subarray}",
    "textnormal": r"\text{#1}",
}
_OTHERWISE = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\(begin|end)\{(align|equation|gather|multline)\}", r"\\\1{\2*}"),
        (r"\\(begin|end)\{split\}", r"\\\1{aligned}"),
        (r"\\(begin|end)\{smallmatrix\}", r"\\\1{matrix}"),
        (r"\\begin\{alignat(?:ed)?\*?\}\{\d+\}", r"\\begin{align*}"),
        (r"\\end\{alignat(?:ed)?\*?\}", r"\\end{align*}"),
        (r"\\(?:eq)?ref\{([\w:.-]*)\}", r"\\text{(\1)}"),
        (r"\\(?:label|require)\{[^{}]*\}|\\(?:nonumber|notag)(?![A-Za-z])", ""),
        # A colour cannot be read by day and by night; white on white hides text.
        (r"\\(?:text)?color(?:\[\w*\])?\{[^{}]*\}", " "),
        (r"(\\text\{[^{}$]*)\$([^{}$]*)\$([^{}$]*\})", r"\1}\2\\text{\3"),
        (r"\\hspace\*?\{[^{}]*\}", r"\\quad "),
        (r"\\\\\[[-\d. a-z]*\]", r"\\\\ "),
    )
]
_NUMBERED = re.compile(r"\\begin\{(?:align|equation|gather|multline)\*\}")

# The library escapes `<` everywhere: those left are of its tags.
_TAG = re.compile(r"<(?P<end>/?)(?P<name>[a-z]+)(?P<attributes>[^<>]*?)(?P<empty>/?)>")
_ATTRIBUTE = re.compile(r' ([a-z]+)="([^"<>]*)"')
_EMPTY_STRIKE = re.compile(r'<mrow class="menclose-[a-z]+"></mrow>')
_CLASS_OF = (
    ("border-top", "math-line-top"),
    ("border-right", "math-line-end"),
    ("text-align: left", "math-left"),
    ("text-align: right", "math-right"),
    ("padding-left: 0", "math-flush-start"),
    ("padding-right: 0", "math-flush-end"),
    ("padding-left:1em", "math-gap"),
    ("padding-top: 0", "math-tight"),
    ("margin-left:-0", "math-back"),
    ("box", "math-box"),
    ("updiagonal", "math-up"),
    ("downdiagonal", "math-down"),
)

_TEX = re.compile(r"\\[A-Za-z,;:!{}|$%&#]|\^|[A-Za-z)]_(?:\{|\w(?!\w))")
_SHELL = re.compile(
    r"""
    [/:(\[\-&@;]$ | ["`?#$] | :// | ^\{[A-Za-z_]\w+\}($|[^+\-=^_ ])  # ends where none does, ${HOME}
    | ^[A-Z_]{2,}/[a-z] | \b[A-Za-z]{2,}_[A-Za-z]{2,} | ^\.?/[a-z]   # HOME/bin, MAX_SIZE
    | \w[.!?;]\s+[A-Z][a-z]                                       # a sentence ends
    """,
    re.VERBOSE,
)
_WORD = re.compile(r"[^\W\d_]{2,}")
_RELATION = re.compile(r"[=<>≤≥≈≠∈→]")
# A number, and after something between them a word, or with nothing between them one in CJK.
_AMOUNT_OF_SOMETHING = re.compile(
    r"^(?!.*\b(?:mod|log|sin|cos|tan|ln|exp|max|min|gcd)\b)[\d.,]*+(?<=\d)[kKmMbB+%]?+"
    r"(?:.*[\s/(,\-][^\W\d_]{3,}|[\s(]*+[\u3040-\u9fff\uac00-\ud7af])"
)
_PHRASE = re.compile(r"(?<![^\W\d_])[^\W\d_]{3,}+ [^\W\d_]{3,}")
_FUNCTION_NAMES = """
alpha arccos arcsin arctan arg beta cos cosh cot cov csc deg delta det dim div exp gamma gcd grad inf ker
lambda lcm lim ln log max min mod omega pi pr rank sec sgn sigma sin sinh sup tan tanh theta tr var
"""
_FUNCTIONS = frozenset(_FUNCTION_NAMES.split())
_COMMON_WORDS = """
an and are at but by das der die each et for from has in is it no not of off on or oder ou per that the
then to und versus vs was were which will with you
"""
_STOP_WORDS = frozenset(_COMMON_WORDS.split())
