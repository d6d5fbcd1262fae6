"""Where we do not show what a specification asks for, and why."""

from html import escape

_BARE = "A bare address is a link, as GitHub's own extension has it: this example is of plain CommonMark."
_HOST = "GitHub's later rule: the host of a bare address is of letters, digits, - and _, with a dot in it."
_FORMULA = "A bracket after a backslash begins a formula: models write them so."

DIFFERENCES = {
    "commonmark-12 Backslash escapes": _FORMULA,
    "commonmark-602 Autolinks": _BARE,
    "commonmark-608 Autolinks": _BARE,
    "commonmark-611 Autolinks": _BARE,
    "commonmark-612 Autolinks": _BARE,
    "gfm-308 Backslash escapes": _FORMULA,
    "gfm-610 Autolinks": _BARE,
    "gfm-616 Autolinks": _BARE,
    "gfm-619 Autolinks": _BARE,
    "gfm-620 Autolinks": _BARE,
    "gfm-extensions-19 Autolinks": _HOST,
}


def _as_text(html: str) -> str:
    return f'<pre class="plain">{escape(html, quote=False)}</pre>'


# Raw HTML beside the same tags made of Markdown, which `shown` cannot tell apart: written by hand.
SHOWN_BY_HAND = {
    "gfm-extensions-22 HTML tag filter": (
        "<p>This is &lt;xmp> not okay, but <strong>this</strong> &lt;strong>is&lt;/strong>.</p>"
        + _as_text("<p>This is <xmp> not okay, but **this** <strong>is</strong>.</p>")
        + "<p>Nope, I won't have &lt;textarea>.</p>"
        + _as_text(
            "<p>No <textarea> here either.</p>\n<p>This <random /> <thing> is okay</thing> though.</p>"
        )
        + "<p>Yep, &lt;totally>okay&lt;/totally>.</p>"
        + _as_text("<!-- HTML comments are okay, though. -->")
        + "<p>&lt;!- But we're strict. ->\n&lt;! No nonsense. ></p>"
        + _as_text(
            "<!-- Leave multiline comments the heck alone, though, okay?\n"
            'Even with {"x":"y"} or 1 > 2 or whatever. Even **markdown**.\n-->\n'
            "<!--- Support everything CommonMark's parser does. -->\n<!---->\n<!--thistoo-->"
        )
    )
}
