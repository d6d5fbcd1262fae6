"""Static files: read, joined, hashed and compressed once, and served from memory for good."""

import base64
import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

STATIC = Path(__file__).parent.parent / "static"
# htmx comes with its extensions or not at all: without hx-csp it would heed attributes that bear no nonce.
JOINED = {"chat.css": "css/", "htmx.js": "htmx/"}
FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    compressed: bytes | None
    media_type: str


class StaticFiles:
    """An ASGI application over a folder.

    Each file is served as `name.HASH.ext`, an address that changes with its content. What `JOINED` names is
    served as one file: the files of a folder, as they are, in the order of their names.
    """

    def __init__(self, folder: Path = STATIC, prefix: str = "/static") -> None:
        contents = {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.suffix != ".toml"
        }
        for joined, parts in JOINED.items():
            contents[joined] = b"\n".join(
                contents.pop(name) for name in sorted(contents) if name.startswith(parts)
            )
        self._prefix = prefix
        self._names = {name: _hashed(name, content) for name, content in contents.items()}
        self._files = {self._names[name]: _file(name, content) for name, content in contents.items()}

    def url(self, name: str) -> str:
        """The address of a file. Raises KeyError if there is none."""
        return f"{self._prefix}/{self._names[name]}"

    def read(self, name: str) -> bytes:
        """The content of a file. Raises KeyError if there is none."""
        return self._files[self._names[name]].content

    def data_url(self, name: str) -> str:
        """A file as a URL that holds it, for what is not worth a request."""
        file = self._files[self._names[name]]
        return f"data:{file.media_type};base64,{base64.b64encode(file.content).decode()}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path"].removeprefix(scope.get("root_path", "")).removeprefix("/")
        file = self._files.get(name)
        if file is None or scope["method"] not in ("GET", "HEAD"):
            await Response("Not found", status_code=404, media_type="text/plain")(scope, receive, send)
            return
        headers = {"Cache-Control": FOREVER, "Vary": "Accept-Encoding"}
        content = file.content
        if file.compressed is not None and "gzip" in Headers(scope=scope).get("accept-encoding", ""):
            content, headers["Content-Encoding"] = file.compressed, "gzip"
        await Response(content, headers=headers, media_type=file.media_type)(scope, receive, send)


def _hashed(name: str, content: bytes) -> str:
    path = Path(name)
    return str(path.with_name(f"{path.stem}.{hashlib.sha256(content).hexdigest()[:12]}{path.suffix}"))


def _file(name: str, content: bytes) -> _File:
    compressed = gzip.compress(content, 9, mtime=0)
    media_type = "text/javascript" if name.endswith(".js") else mimetypes.guess_type(name)[0]
    return _File(
        content,
        compressed if len(compressed) < len(content) else None,
        media_type or "application/octet-stream",
    )
