"""What a specification's HTML is when our reader is shown it, and how HTML is compared: node for node."""

import re
from html import escape, unescape
from itertools import groupby

from bs4 import BeautifulSoup, Tag
from bs4.element import NavigableString

_BLOCKS = {
    *("blockquote", "div", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "section"),
    *("table", "tbody", "td", "th", "thead", "tr", "ul"),
}
_LANGUAGE = "language-"

# HTML as CommonMark knows it: a comment, an instruction, a declaration, a closing tag, an opening tag.
_HTML = re.compile(
    r"<!---?>|<!--.*?-->|<\?.*?\?>|<!\[CDATA\[.*?\]\]>|<![A-Za-z][^>]*>|</[A-Za-z][A-Za-z0-9-]*\s*>"
    r"|<[A-Za-z][A-Za-z0-9-]*(?:\s+[A-Za-z_:][\w:.-]*(?:\s*=\s*(?:'[^']*'|\"[^\"]*\"|[^\s\"'=<>`]+))?)*\s*/?>"
    r"|<[^>]*\Z",  # a block of HTML that ends within a tag
    re.DOTALL,
)
# A host, and nothing that another reader could take for one.
_ABSOLUTE = re.compile(r"(?i)(?:https?://([^\s/?#@\\:\[\]]+)(?::\d+)?(?:[/?#]\S*)?|mailto:\S+)")


def shown(html: str, markdown: str) -> str:
    """The specification's HTML, as its example is shown by us.

    A tag that is written in the Markdown as it is in the HTML is raw HTML, which we show as text.
    """
    soup = _parsed(_HTML.sub(lambda tag: _text_if_raw(tag[0], markdown), html))
    for element in soup.find_all(True):
        if not element.decomposed:
            _change(soup, element)
    for loose in [node for node in soup.contents if isinstance(node, NavigableString)]:
        if text := loose.strip("\n"):
            loose.replace_with(_made(soup, "pre", text, class_="plain"))
    return soup.decode_contents()


def outline(html: str) -> list[str]:
    """Each element, attribute and text on a line of its own; without the blanks between blocks."""
    return _lines(_parsed(html), "")


def _text_if_raw(tag: str, markdown: str) -> str:
    return escape(tag, quote=False) if tag in markdown else tag


def _parsed(html: str) -> BeautifulSoup:
    # This parser would otherwise make one blank of many.
    return BeautifulSoup(
        f"<body>{html}</body>",
        "html.parser",
        multi_valued_attributes=None,
        preserve_whitespace_tags={"body"},
    ).body  # type: ignore[return-value] # there is one: it is the first thing in the text


def _change(soup: BeautifulSoup, element: Tag) -> None:
    url = str(element.get("href") or element.get("src") or "")
    match element.name:
        case "a" if "footnote-backref" in str(element.get("class")):
            _without_blank_before(element)
            return
        case "a":
            _change_link(element, url)
            return
        case "img":
            _change_image(soup, element, url)
            return
        case "input":
            mark = "☑" if element.has_attr("checked") else "☐"
            element.replace_with(_made(soup, "span", mark, class_="task"))
            return
        case "pre" if isinstance(element.code, Tag):
            _change_code(soup, element, element.code)
            return
        case "table":
            element.wrap(_made(soup, "div", "", class_="table"))
        case "section":
            element["class"] = "footnotes"
            return
        case "li" if "fn" in str(element.get("id")):
            element.attrs = {"class": "footnote"}
            return
        case "br":
            following = element.next_sibling
            if isinstance(following, NavigableString):
                following.replace_with(following.removeprefix("\n"))
    for name in element.attrs.keys() - {"align", "start"}:
        del element[name]
    if len(str(element.get("start", ""))) > 4:
        element["class"] = "long-numbers"


def _without_blank_before(element: Tag) -> None:
    before = element.previous_sibling
    if isinstance(before, NavigableString):
        before.replace_with(before.rstrip(" "))
    element.decompose()


def _change_link(element: Tag, url: str) -> None:
    if not _ABSOLUTE.fullmatch(url):
        element.unwrap()
        return
    element.attrs.clear()
    element.attrs.update(_link_attributes(url))


def _link_attributes(url: str) -> dict[str, str]:
    return {"href": url, "target": "_blank", "rel": "nofollow noopener noreferrer"}


def _change_image(soup: BeautifulSoup, element: Tag, url: str) -> None:
    alt = str(element.get("alt") or "")
    absolute = _ABSOLUTE.fullmatch(url)
    host = (absolute[1] or "") if absolute else ""
    if not host or element.find_parent("a"):
        element.replace_with(alt or host)
        return
    element.replace_with(_made(soup, "a", f"{alt} ({unescape(host)})".strip(), **_link_attributes(url)))


def _change_code(soup: BeautifulSoup, pre: Tag, code: Tag) -> None:
    language = str(code.get("class") or "").removeprefix(_LANGUAGE)
    block = _made(soup, "div", "", class_="code")
    head = _made(soup, "div", "", class_="code-head")
    head.append(_made(soup, "span", language[:30], class_="code-language"))
    pre.insert_before(block)
    block.extend([head, pre.extract()])
    code.attrs = {}
    pre.attrs = {}


def _made(soup: BeautifulSoup, name: str, text: str, class_: str = "", **attributes: str) -> Tag:
    root = next(iter(soup.parents), soup)
    assert isinstance(root, BeautifulSoup)
    tag = root.new_tag(name, attrs={**({"class": class_} if class_ else {}), **attributes})
    if text:
        tag.string = text
    return tag


def _lines(element: Tag, indent: str) -> list[str]:
    lines = []
    for is_block, nodes in groupby(_merged(element), key=_is_block):
        for node in nodes if is_block else _trimmed(list(nodes), within=element):
            lines += _node_lines(node, indent)
    return lines


def _node_lines(node: Tag | str, indent: str) -> list[str]:
    if not isinstance(node, Tag):
        return [f"{indent}{str(node)!r}"]
    attributes = "".join(f" {name}={value!r}" for name, value in sorted(node.attrs.items()))
    return [f"{indent}{node.name}{attributes}", *_lines(node, indent + "  ")]


def _merged(element: Tag) -> list[Tag | str]:
    """The nodes, with texts that meet as one, and in code with the colours taken out."""
    merged: list[Tag | str] = []
    for node in element.contents:
        is_colour = isinstance(node, Tag) and node.name == "span" and element.name == "code"
        if isinstance(node, Tag) and not is_colour:
            merged.append(node)
        elif merged and isinstance(merged[-1], str):
            merged[-1] = str(merged[-1]) + node.get_text()
        else:
            merged.append(node.get_text())
    return [node for node in merged if node != ""]


def _is_block(node: Tag | str) -> bool:
    return isinstance(node, Tag) and node.name in _BLOCKS


def _trimmed(nodes: list[Tag | str], within: Tag) -> list[Tag | str]:
    """What stands between two blocks, without the blanks around it, which nobody sees."""
    if within.name in _BLOCKS - {"pre"} or within.name == "body":
        if isinstance(nodes[0], str):
            nodes[0] = nodes[0].lstrip(" \n")
        if isinstance(nodes[-1], str):
            nodes[-1] = nodes[-1].rstrip(" \n")
    return [node for node in nodes if node != ""]
