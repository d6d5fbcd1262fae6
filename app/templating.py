"""Templates: the Jinja environment and the few names that every template has."""

import gzip
import secrets
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse

from app.fragments import tip
from app.static_files import StaticFiles

TEMPLATES = Path(__file__).parent.parent / "templates"
GZIP_FROM = 800
"""Bytes below which compressing a page gains nothing."""


class Templates:
    """Renders templates; `reload` reads changed ones anew."""

    def __init__(self, static: StaticFiles, *, reload: bool = False) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            auto_reload=reload,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(
            hx=hx,
            path=path,
            tip=tip,
            static=pass_context(_static(static)),
            data_url=static.data_url,
        )

    def render(self, request: Request, template: str, **context: Any) -> str:
        """The HTML of a template."""
        root_path = request.scope.get("root_path", "")
        return self._environment.get_template(template).render(
            nonce=request.state.nonce, root_path=root_path, **context
        )

    def render_around(self, request: Request, template: str, **context: Any) -> tuple[str, str]:
        """The HTML before and behind the place that a template marks with `{{ here }}`."""
        here = secrets.token_hex(16)
        before, after = self.render(request, template, here=here, **context).split(here)
        return before, after


def page(
    request: Request,
    template: str,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
    **context: Any,
) -> HTMLResponse:
    """A template as a response, compressed where that is accepted."""
    templates: Templates = request.app.state.templates
    body = templates.render(request, template, **context).encode()
    sent = {"Cache-Control": "no-store", "Vary": "HX-Request, Accept, Accept-Encoding", **(headers or {})}
    if len(body) >= GZIP_FROM and "gzip" in request.headers.get("Accept-Encoding", ""):
        body = gzip.compress(body, 6)
        sent["Content-Encoding"] = "gzip"
    return HTMLResponse(body, status_code=status, headers=sent)


@pass_context
def path(context: Context, local: str) -> str:
    """A path of this application as browsers see it, wherever the application is mounted."""
    return f"{context['root_path']}{local}"


@pass_context
def hx(context: Context, **attributes: str) -> Markup:
    """The htmx attributes of an element, with the nonce without which the page ignores them.

    `hx(post="/completion", sse_close="done")` writes `hx-post` and `hx-sse:close`.
    """
    named = {
        f"hx-{name.replace('sse_', 'sse:').replace('_inherited', ':inherited')}": value
        for name, value in attributes.items()
    }
    named["hx-nonce"] = context["nonce"]
    parts = " ".join(f'{name}="{escape(value)}"' for name, value in named.items())
    return Markup(parts)  # noqa: S704 - names are ours, and values are escaped


def _static(static: StaticFiles) -> Any:
    def url(context: Context, name: str) -> str:
        """Where a static file is, by an address that changes with its content."""
        return f"{context['root_path']}{static.url(name)}"

    return url
