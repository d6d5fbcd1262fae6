"""Mathematics: TeX as MathML, safe whatever it is."""

import re
import threading
from time import perf_counter

import nh3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.markdown.mathematics import ATTRIBUTES, CLASSES, TAGS, is_prose, mathml

FORMULAS = r"""
\frac{a}{b}
x = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a}
\sqrt[3]{27} = 3
\sum_{i=1}^{n} i = \frac{n(n+1)}{2}
\int_{0}^{\infty} e^{-x^2} \, dx = \frac{\sqrt{\pi}}{2}
\lim_{x \to 0} \frac{\sin x}{x}
\sum_{\substack{1 \le i \\ i \ne j}} a_{ij}
P(A \mid B) = \frac{P(B \mid A)\,P(A)}{P(B)}
\operatorname*{arg\,max}_{\theta} \mathcal{L}(\theta)
\begin{pmatrix} a & b \\ c & d \end{pmatrix}
\left[\begin{array}{cc|c} 1 & 2 & 3 \\ \hline 4 & 5 & 6 \end{array}\right]
\begin{aligned} a &= b \\ &= c \end{aligned}
\begin{align*} (x+1)^2 &= x^2 \\[1em] &\geq 0 \end{align*}
\begin{align} E &= mc^2 \label{a} \\ p &= mv \nonumber \end{align}
\begin{split} a &= b \\ &= c \end{split}
\begin{alignat}{2} a &= b & c &= d \end{alignat}
|x| = \begin{cases} x & \text{if $x \ge 0$} \\ -x & \text{otherwise} \end{cases}
\boxed{x = 42} \tag{1}
\text{see } \eqref{eq:1}
{\color{red} x} + \textcolor{#ff0000}{y} + \color[HTML]{00FF00} z
\hat{y}, \bar{x}, \vec{v}, \ddot{q}, \widehat{ABC}, \overline{AB}, \widetilde{x}
\underbrace{a + b}_{n} \overset{!}{=} \binom{n}{k} \xrightarrow{k} \cancel{x} + \xcancel{y}
\left\{ x \in \mathbb{Z} \;\middle|\; x > 0 \right\} \bigl( a \bigr)
\lVert v \rVert \norm{x} \abs{y} \bra{x} \ket{y} a \pmod{n}
\text{速度} = \frac{\text{距离}}{\text{时间}} \mbox{und} \texttt{a\_b} \textbf{c}
\hspace{1cm} a \quad b \! c \raisebox{1em}{d} \mathrel{R} \cfrac{1}{2}
{}^{14}_{6}\mathrm{C} 3 < 4 > 5
""".strip().split("\n")

CLEANER = nh3.Cleaner(
    tags={"a", "code", "div", "em", "p", "pre", "span", "table", "tbody", "td", "tr"} | TAGS,
    clean_content_tags=set(),
    attributes={"*": set(), "a": {"href"}},
    tag_attribute_values=ATTRIBUTES,
    allowed_classes=CLASSES,
    url_schemes={"https"},
    url_relative="deny",
)
EVERY_TAG = re.compile(r'<(/?)([a-z]+)((?: [a-z]+="[^"<>]*")*)>')


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("display", [False, True])
def test_the_sanitizer_leaves_a_formula_as_it_is(formula: str, display: bool) -> None:
    shown = mathml(formula, display=display)

    assert shown is not None
    assert CLEANER.clean(shown) == shown
    assert " style=" not in shown


def test_display_is_said_where_it_is_meant() -> None:
    assert mathml("x^2", display=True) == '<math display="block"><msup><mi>x</mi><mn>2</mn></msup></math>'
    assert mathml("x^2", display=False) == "<math><msup><mi>x</mi><mn>2</mn></msup></math>"


def test_how_a_table_is_ruled_and_aligned_is_said_with_classes() -> None:
    shown = mathml(r"\begin{array}{l|r} 1 & 2 \\ \hline 3 & 4 \end{array}", display=True) or ""

    assert '<td class="math-left math-line-end"><mn>1</mn>' in shown.replace("<mtd", "<td")
    assert '<mtd class="math-line-top math-right"><mn>4</mn>' in shown


def test_lines_are_numbered_only_where_the_source_numbers_them() -> None:
    assert "<mtext>" not in (mathml(r"\begin{align} a &= b \end{align}", display=True) or "<mtext>")
    assert "<mtext>(7)</mtext>" in (mathml(r"a = b \tag{7}", display=True) or "")


@pytest.mark.parametrize(
    "formula",
    [
        "",
        " \n",
        r"\ce{H2O}",
        r"\frac{a",
        r"\left( x",
        "a & b",
        "a\0b",
        "a\ud800b",
        "x" * 4_001,
        "~" * 201,
        "{" * 501,
        r"\hat" * 501,
        r"\sqrt{" * 100 + "x" + "}" * 100,
        r"\def\a{b} \a",
        r"\newcommand{\a}{b} \a",
        r"\gdef\a{\a\a}\a",
        r"\let\a\frac x",
        r"\href{javascript:alert(1)}{x}",
        r"\href{https://a.example/}{x}",
        r"\url{https://a.example/}",
        r"\includegraphics{https://a.example/x.png}",
        r"\htmlClass{a}{x}",
        r"\class{a}{x}",
        r"\cssId{a}{x}",
        r"\style{color:red}{x}",
        "&#60;b&#62;",
    ],
)
def test_what_is_not_known_or_too_much_is_no_formula(formula: str) -> None:
    assert mathml(formula, display=True) is None


@pytest.mark.parametrize(
    "formula",
    [
        "<script>alert(1)</script>",
        r"\text{<img src=x onerror=alert(1)>}",
        r"\operatorname{<b>}",
        r"\texttt{<a href=x>}",
        r'\color{red" onclick="alert(1)}{x}',
        r"\begin{equation} x \tag{<b>} \end{equation}",
        r"\eqref{x} \ref{y}",
        r"\begin{align} x \label{a} \eqref {a} \end{align}",
        r'\text{" onclick="x}',
    ],
)
def test_no_html_comes_out_of_a_formula(formula: str) -> None:
    shown = mathml(formula, display=True) or ""

    assert all(name in TAGS for _, name, _ in EVERY_TAG.findall(shown))
    assert "<" not in EVERY_TAG.sub("", shown)
    assert CLEANER.clean(shown) == shown


@given(
    st.lists(st.sampled_from([*r"{}[]()&^_~$#%<>'\"=x1é漢 ", r"\\", *re.findall(r"\\\w+", str(FORMULAS))]))
)
def test_whatever_the_source_the_sanitizer_has_nothing_to_do(parts: list[str]) -> None:
    shown = mathml(" ".join(parts), display=True)

    assert shown is None or CLEANER.clean(shown) == shown


@pytest.mark.parametrize(
    "part",
    [
        "{",
        "x^{",
        r"\frac{",
        r"\sqrt[",
        r"\left(",
        r"\hat",
        r"\displaystyle ",
        r"\frac1",
        r"\boxed{",
        r"\bra{",
    ],
)
def test_the_deepest_formula_fits_a_small_stack(part: str) -> None:
    ends = {"{": "}", "[": "]x", "(": r"\right)"}
    end = ends.get(part[-1], "")
    depth = 500 // len(re.findall(r"\{|\\", part + end))
    formula = f"{part * depth} x{end * depth}"
    before = threading.stack_size(1_300_000 // 4096 * 4096)
    try:
        thread = threading.Thread(target=mathml, args=(formula,), kwargs={"display": True})
        thread.start()  # one too deep would end the process here
    finally:
        threading.stack_size(before)
    thread.join()


# math-core 0.9.0 takes twice the time for each bracket that stays open.
@pytest.mark.parametrize("part", ["(", "[", r"\{ ", "([", "f(x,", "~", "'", r"\,(", "|", r"\sum_"])
def test_no_source_takes_long(part: str) -> None:
    start = perf_counter()
    for count in (24, 200):
        mathml(part * count, display=True)
        assert perf_counter() - start < 0.25


@pytest.mark.parametrize(
    "html",
    [
        "<math><style><img src=x onerror=alert(1)></style></math>",
        '<math><annotation-xml encoding="text/html"><script>x</script></annotation-xml></math>',
        '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=x&gt;">',
        '<math><mi xlink:href="javascript:x" href="javascript:x" onclick="x" style="x">x</mi></math>',
        '<math><maction actiontype="statusline"><mi>x</mi></maction></math>',
        "<math><mtext></mtext><svg><title><style><img src=x></style></title></svg></math>",
        '<math><mtext></form><form><mglyph><svg><mtext><textarea><a title="</textarea><img src=x>">',
        "<p><mi><a href='javascript:x'>x</a></mi></p>",
    ],
)
def test_tags_of_mathematics_open_no_way_around_the_sanitizer(html: str) -> None:
    clean = CLEANER.clean(html)

    assert not re.search(
        r"<(?:annotation|style|script|svg|img|mglyph|maction|form|title)|=x|href|javascript", clean
    )
    assert CLEANER.clean(clean) == clean


@pytest.mark.parametrize(
    "source",
    [
        "5 (cheap) and 10", "7, or 3", "20 to $30 or 40", "HOME/", "5 per month", "5/month, 10/year",
        "5 million", "5 is cheap; 10", "PATH:", "HOME/bin:", "{HOME}/", "{a}-", "{HOME}", "1\" \"",
        "foo_bar", "MAX_SIZE", "10 and the other is 20", "5 for you,", "1,000 (approx",
        "100k/year, up from", "3.50 each", "5-", "5 billion, 7 trillion", "x and y",
        "this is not a formula", "5元和10", "100 (about 90 euros)", "30. That is", "USER@",
        "(document).ready(", "('#a').hide(", "i++) { print(", "name: ", "5 USD, 7 CAD", "5 statt 7 Euro",
        "APPL or", "12.99 (was 15)", "2 off,", "50 million-",
    ],
)  # fmt: skip
def test_prose_between_dollar_signs_is_no_formula(source: str) -> None:
    assert is_prose(source)


@pytest.mark.parametrize(
    "source",
    [
        "5", "5x+3", "n", r"x \text{ if } y", r"O(n \log n)", "10^{-3}", "2 + 2 = 4", "0.05 < p", "-1",
        "x_1", "f'", "f(x)", "f(x, y) = 2", "O(n)", "a, b, c", "AB", "ABC", "n!", "3.14", "1/2", "a/b",
        "x = 5", "n mod 2", "10 mod 3", "sin x", "cos x + sin y", "2 log n", "max(a, b)", "E = mc^2",
        "x_{ij}", "x'", "i < j", "(a, b)", "[0, 1]", "1, 2, 3", "A, B", "100 - 20 = 80", r"\alpha", "π",
        "α + β", "n - 1", "2n", "k = 0, 1", "dx", "12 km", r"5\%", "{n}", "speed = distance / time", "|x|",
        "a:b", r"\$5.00", "速度 = 距离",
    ],
)  # fmt: skip
def test_a_formula_between_dollar_signs_stays_one(source: str) -> None:
    assert not is_prose(source)
