"""Static files: addresses that change with the content, kept for good, compressed."""

import re
from pathlib import Path

import httpx2
import pytest

from app.static_files import STATIC, StaticFiles

HTMX = ("htmx", "hx-csp", "hx-pending", "hx-sse")


def test_the_address_changes_with_the_content(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    first = StaticFiles(tmp_path).url("a.txt")
    (tmp_path / "a.txt").write_text("two")

    assert StaticFiles(tmp_path).url("a.txt") != first
    assert re.fullmatch(r"/static/a\.[0-9a-f]{12}\.txt", first)


def test_stylesheets_are_joined_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "css").mkdir()
    (tmp_path / "css/b.css").write_text("b{}")
    (tmp_path / "css/a.css").write_text("a{}")

    static = StaticFiles(tmp_path)

    assert static.read("chat.css") == b"a{}\nb{}"
    with pytest.raises(KeyError):
        static.url("css/a.css")


def test_htmx_and_its_extensions_are_one_file_htmx_first_each_part_as_it_was_vendored() -> None:
    parts = [(STATIC / "htmx" / f"{name}.min.js").read_bytes() for name in HTMX]

    assert StaticFiles().read("htmx.js") == b"\n".join(parts)


async def test_a_file_is_compressed_and_kept_for_good(client: httpx2.AsyncClient) -> None:
    page = await client.get("/", headers={"Accept": "text/html"})
    (address,) = re.findall(r'src="(/static/htmx\.[^"]+)"', page.text)

    plain = await client.get(address, headers={"Accept-Encoding": "identity"})
    compressed = await client.get(address, headers={"Accept-Encoding": "gzip"})

    assert plain.content == compressed.content
    assert plain.headers["content-type"].startswith("text/javascript")
    assert plain.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert int(compressed.headers["content-length"]) < int(plain.headers["content-length"]) / 2


@pytest.mark.parametrize(
    "path", ["/static/vendored.toml", "/static/../app/main.py", "/static/%2e%2e/pyproject.toml", "/static/"]
)
async def test_nothing_else_is_served(client: httpx2.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404


def test_text_has_two_sizes_and_one_bold_weight() -> None:
    """Each is a font that a browser looks for before it draws; headings have sizes of their own."""
    style = "\n".join(path.read_text() for path in STATIC.rglob("*.css"))
    sizes = set(re.findall(r"font-size: ([^;]+);", style)) | set(re.findall(r"font: ([\w.()-]+) var", style))
    headings = {"1.4375rem", "1.25rem", "1.125rem"}
    code = {"max(0.875em, 0.8125rem)"}

    assert sizes == {"var(--text-small)", "1rem", "inherit"} | headings | code
    assert set(re.findall(r"font-weight: ([^;]+);", style)) == {"600"}
