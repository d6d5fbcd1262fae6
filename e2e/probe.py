"""A probe for a page that shows hostile text: it proves that nothing of the text ran, loaded or led away."""

import json
import re
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Dialog, Frame, Page, Request

from app.markdown import mathematics
from tests.rendered import ATTRIBUTES, CLASS_NAMES, TAGS

# By the kind of request, where our own pages go.
REQUESTS = {
    "document": r"/|/completion|/conversations/\d+(/live)?",
    "stylesheet": r"/static/\S+",
    "script": r"/static/\S+",
    "other": r"/offline",  # the page fetches it ahead
    "fetch": r"/completion(/\d+/fragments\?from=\d+(-\d+)?)?|/messages/\d+|/draft|/offline|/model",
}
ALLOWED: dict[str, dict[str, str]] = {
    **{tag: {} for tag in (*TAGS.split(), *mathematics.TAGS)},
    "clipboard-copy": {"for": r"m\d+[a-z]?-\d+-\d+", "role": "button", "tabindex": "0"},
}
for (tag, attribute), pattern in ATTRIBUTES.items():
    if attribute != "class" or tag in mathematics.CLASSES:
        ALLOWED[tag][attribute] = pattern.removeprefix("(?i)")
# What the page adds to the rendered text.
ALLOWED["pre"] |= {"id": r"m\d+[a-z]?-\d+-\d+", "tabindex": "0"}
ALLOWED["div"] |= {
    "id": r"m\d+[a-z]?-\d+",
    "dir": "auto",
    "tabindex": "0",
    "role": "group",
    "aria-label": "Table",
}
ALLOWED["hr"] |= {"hidden": ""}
NOTE = r"note-\d+[a-z]?-\d+"
ALLOWED["li"] |= {"id": NOTE}
ALLOWED["a"] |= {"href": f"{ALLOWED['a']['href']}|#{NOTE}", "aria-label": r"Footnote \d+"}
CLASSES = [*CLASS_NAMES, "block", "again", "copy", "superseded"]

# In every page before its own scripts: looks at each change to an answer as it happens.
LOOK = """
globalThis.hostileFaults = []
globalThis.lookAtHostile = (element, allowed, classes) => {
  const faults = []
  const name = element.localName
  const known = Object.hasOwn(allowed, name) && /[/](xhtml|MathML)$/.test(element.namespaceURI)
  const rules = known ? allowed[name] : null
  if (!rules) return ["element: " + element.outerHTML.slice(0, 200)]
  if (element.shadowRoot) faults.push("shadow root: " + name)
  for (const {name: attribute, value} of element.attributes) {
    const known = attribute === "class" && !Object.hasOwn(rules, "class")
      ? value.split(" ").every(part => !part || part.startsWith("htmx-") || classes.includes(part))
      : Object.hasOwn(rules, attribute) && new RegExp(`^(?:${rules[attribute]})$`, "is").test(value)
    if (!known || value.includes("<")) faults.push(`attribute: ${name} ${attribute}=${value}`)
  }
  const isSafe = ["http:", "https:", "mailto:"].includes(element.protocol)
  const leadsAway = isSafe && element.host !== location.host
  const isNote = element.matches("sup > a[href^='#note-']")
  if (element.hasAttribute("href") && !leadsAway && !isNote) faults.push("link: " + element.outerHTML)
  return faults
}
"""
WATCH = """
(() => {
  const look = element => hostileFaults.push(...lookAtHostile(element, %s, %s))
  addEventListener("securitypolicyviolation", event => hostileFaults.push("policy: " + event.blockedURI))
  new MutationObserver(changes => {
    for (const {target, addedNodes, type} of changes) {
      const inside = target.nodeType === 1 && target.closest(".prose")
      if (!inside) continue
      if (type === "attributes" && target !== inside) look(target)
      for (const node of addedNodes) {
        if (node.nodeType === 1) [node, ...node.querySelectorAll("*")].forEach(look)
        else if (node.nodeType !== 3) hostileFaults.push("node: " + node.nodeName)
      }
    }
  }).observe(document, {childList: true, subtree: true, attributes: true})
})()
"""
CHECK = """
([look, allowed, classes]) => {
  if (!globalThis.lookAtHostile) (0, eval)(look)
  const inside = [...document.querySelectorAll(".prose *")]
  const faults = inside.flatMap(element => lookAtHostile(element, allowed, classes))
  return {faults: [...hostileFaults, ...faults], elements: inside.length}
}
"""
# What surrounds the answers, without numbers: it must not depend on what they say.
FRAME = r"""
() => [...new Set([...document.querySelectorAll("*")].filter(element => !element.closest(".prose *")).map(
  element => element.localName + "." + element.className.toString() + [...element.attributes].map(
    ({name, value}) =>
      ["id", "name", "for", "action"].includes(name) ? `${name}=${value.replace(/\d+/g, "N")}` : name
  ).sort()))].sort()
"""


class Probe:
    """Watches one page from before its first address on."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.faults: list[str] = []
        self._host = urlsplit(origin).netloc
        page.add_init_script(LOOK + WATCH % (json.dumps(ALLOWED), json.dumps(CLASSES)))
        page.on("dialog", self._dialog)
        page.on("request", self._request)
        page.on("framenavigated", self._navigated)
        for event in ("popup", "download", "worker", "websocket", "filechooser", "pageerror", "crash"):
            page.on(event, lambda _, event=event: self.faults.append(event))

    def check(self) -> int:
        """Fail on whatever happened or stands in an answer so far; the number of elements in answers."""
        found: dict[str, Any] = self.page.evaluate(CHECK, [LOOK, ALLOWED, CLASSES])
        faults = [*self.faults, *found["faults"], *(frame.url for frame in self.page.frames[1:])]
        assert not faults, faults[:20]
        return int(found["elements"])

    def frame(self) -> list[str]:
        """What stands around the answers."""
        found: list[str] = self.page.evaluate(FRAME)
        return found

    def _dialog(self, dialog: Dialog) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _request(self, request: Request) -> None:
        address = urlsplit(request.url)
        path = address.path + (f"?{address.query}" if address.query else "")
        kind = "fetch" if request.resource_type in ("xhr", "eventsource") else request.resource_type
        if address.scheme == "data" and request.url.startswith("data:image/svg+xml"):
            return
        if address.netloc != self._host or not re.fullmatch(REQUESTS.get(kind, "(?!)"), path):
            self.faults.append(f"request: {kind} {request.method} {request.url}")

    def _navigated(self, frame: Frame) -> None:
        address = urlsplit(frame.url)
        if address.netloc != self._host or not re.fullmatch(REQUESTS["document"], address.path):
            self.faults.append(f"navigation: {frame.url}")
