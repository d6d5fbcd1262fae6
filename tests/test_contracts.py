"""The laws, as tests: what is vendored, what is written in templates, who may import whom, who owns what."""

import ast
import hashlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from jinja2 import Environment, meta, nodes

from app import deps
from app.main import create_app
from app.markdown import parsers
from app.providers.scripted import ScriptedProvider
from app.settings import Settings
from app.templating import TEMPLATES

ROOT = Path(__file__).parent.parent
STATIC = ROOT / "static"
SHIPPED_TEMPLATES = sorted(str(path.relative_to(TEMPLATES)) for path in TEMPLATES.rglob("*.html"))
GLOBAL_NAMES = {"hx", "path", "static", "tip", "data_url", "nonce"}

ENTER = "keydown[key=='Enter'&&!shiftKey&&!isComposing&&!repeat&&keyCode!=229] target:textarea prevent"

# Who may import whom: a module sees those on lines above its own, and its own line.
LAYERS = [
    {"logs", "tables", "states", "wakeups", "settings"}
    | {"providers", "reasoning", "text", "problems", "readers"},
    {"doubts", "schema", "sqlite", "engines", "db", "refusals", "metrics", "prometheus"}
    | {"markdown", "static_files"},
    {"prompts", "conversations", "branches", "answers", "fragments", "renderings", "running", "streams"}
    | {"leases", "notifications", "chunks"},
    {"generation", "calls", "writer", "polling", "growing", "transcript", "events"}
    | {"templating", "security", "tracing", "access"},
    {"connections"},
    {"errors", "deps"},
    {"routes"},
    {"main"},
    {"cli"},
]  # fmt: skip
KNOW_THE_WEB = {
    "cli",
    "main",
    "deps",
    "routes",
    "errors",
    "templating",
    "security",
    "access",
    "tracing",
    "readers",
    "events",
    "streams",
    "static_files",
}


def source(name: str) -> str:
    return (TEMPLATES / name).read_text()


def test_every_script_is_vendored_and_unmodified() -> None:
    manifest = tomllib.loads((STATIC / "vendored.toml").read_text())["file"]
    found = {
        str(path.relative_to(STATIC))
        for path in ROOT.glob("static/**/*")
        if path.suffix in (".js", ".mjs", ".ts")
    }

    assert {file["path"] for file in manifest} == found
    for file in manifest:
        assert hashlib.sha256((STATIC / file["path"]).read_bytes()).hexdigest() == file["sha256"], file[
            "path"
        ]
        assert all(file[key] for key in ("package", "member", "version", "licence"))


def test_there_is_no_script_anywhere_else() -> None:
    ours = [
        path
        for folder in ("app", "templates", "e2e", "tests", "docs", "bench", "deploy")
        for path in (ROOT / folder).rglob("*")
    ]

    assert [path for path in ours if path.suffix in (".js", ".mjs", ".ts", ".jsx", ".tsx")] == []


@pytest.mark.parametrize("name", SHIPPED_TEMPLATES)
def test_a_template_holds_no_script_no_handler_and_no_inline_style(name: str) -> None:
    text = source(name)

    assert re.findall(r"<script(?![^>]*\bsrc=)", text) == []
    assert re.findall(r"<script[^>]*>[^<]", text) == []
    assert re.findall(r"\bon[a-z]+\s*=|hx-on|['\"]js:|\bstyle\s*=|javascript:|nonce:inherited", text) == []
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text) == []
    assert re.findall(r"\shx-(?!partial|target=|swap=)[a-z:-]+=", text) == [], (
        "htmx attributes are written by hx()"
    )


def test_there_is_exactly_one_event_filter() -> None:
    filters = [
        match
        for name in SHIPPED_TEMPLATES
        for match in re.findall(r"[a-z]+\[[^\]]*\][^\"'\s]*[^\"']*target[^\"]*", source(name))
        if "key" in match
    ]
    everywhere = "".join(source(name) for name in SHIPPED_TEMPLATES)

    assert len(filters) == 1
    assert everywhere.count(ENTER) == 1
    triggers = re.findall(r"trigger=(?:'([^']*)'|\"([^\"]*)\")", everywhere)
    assert [trigger for pair in triggers for trigger in pair if "[" in trigger] == [f"submit, {ENTER}"]


@pytest.mark.parametrize("name", SHIPPED_TEMPLATES)
def test_a_template_uses_only_the_context_that_it_declares(name: str) -> None:
    comment = re.match(r"\{#(.*?)#\}", source(name), re.DOTALL)
    assert comment, "the first thing in a template says what it is"
    if name == "icons.html":
        return
    declared = re.search(r"Context: (.*?)(?:\.\s*$|\.\n|\. )", comment.group(1) + "\n", re.DOTALL)
    assert declared, "it says its context"
    optional = re.search(r"Optional: (\w+)", comment.group(1))
    names = set(re.findall(r"\b[a-z_]+\b", re.sub(r"\([^)]*\)", "", declared.group(1)))) | (
        {optional.group(1)} if optional else set()
    )

    assert used_names(name) <= names | GLOBAL_NAMES


def used_names(name: str) -> set[str]:
    """What a template itself takes from its context; what it includes declares its own."""
    environment = Environment()  # noqa: S701 - only parsed
    tree = environment.parse(source(name))
    for macro in tree.find_all(nodes.Macro):
        macro.body = []
    imported = {"icon"} if "import icon" in source(name) else set()
    return meta.find_undeclared_variables(tree) - imported


def test_imports_point_one_way() -> None:
    level = {module: number for number, layer in enumerate(LAYERS) for module in layer}
    wrong = []
    for path in (ROOT / "app").rglob("*.py"):
        module = path.relative_to(ROOT / "app").parts[0].removesuffix(".py")
        if module in ("__init__", "__main__", "migrations"):
            continue
        wrong += [f"{module} -> {other}" for other in imported(path) if level[other] > level[module]]

    assert wrong == []


def test_only_some_modules_know_the_web() -> None:
    knowing = {
        path.relative_to(ROOT / "app").parts[0].removesuffix(".py")
        for path in (ROOT / "app").rglob("*.py")
        if re.search(r"^(?:from|import) (?:fastapi|starlette|sse_starlette)", path.read_text(), re.MULTILINE)
    }

    assert knowing == KNOW_THE_WEB


def imported(path: Path) -> set[str]:
    """The modules of ours that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("app"):
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {name.name for name in node.names}
    return found


OPEN_SQLITE = """
import asyncio, sys
from app.cli import main, running_chat
from app.providers import Pace, choose_provider
from app.settings import Settings

async def chat():
    settings = Settings(database_url=f"sqlite:///{sys.argv[1]}", openai_base_url="http://127.0.0.1:9/v1")
    async with running_chat(settings, choose_provider(settings), Pace(), writes=True):
        print(*sys.modules)

asyncio.run(chat())
"""


def test_a_chat_over_sqlite_that_was_asked_nothing_loads_nothing_that_only_others_need(
    tmp_path: Path,
) -> None:
    opened = [sys.executable, "-c", OPEN_SQLITE, f"{tmp_path}/chat.db"]
    for _ in ("a new one", "the same again"):
        said = subprocess.run(opened, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    loaded = set(said.split())

    of_others = {"alembic", "asyncpg", "sqlalchemy.dialects.postgresql", "opentelemetry.sdk"}
    of_others |= {"prometheus_client", "aiohttp", "comrak", "nh3", "math_core", "pygments"}
    if parsers.HAS_COMRAK:
        of_others |= {"markdown_it"}
    assert "sqlalchemy.dialects.sqlite" in loaded
    assert loaded & of_others == set()


def test_every_route_to_something_owned_checks_the_owner() -> None:
    app = create_app(Settings(), provider=ScriptedProvider())
    loaders = {deps.current_conversation, deps.current_answer, deps.answer_if_any}
    unchecked = []
    for route in app.routes:
        if not isinstance(route, APIRoute) or "{" not in route.path:
            continue
        calls = {dependency.call for dependency in route.dependant.dependencies}
        # A stream says the same of another's answer as of none, so it looks it up itself, with the user:
        # `follow` has no other way. `tests/test_owners.py` holds that.
        streams = route.path in ("/completion/{message_id}", "/completion/{message_id}/fragments")
        if not (calls & loaders or (streams and deps.current_user in calls)):
            unchecked.append(route.path)

    assert unchecked == []


def test_no_task_is_created_outside_generation() -> None:
    # The supervisor of the built-in model's process is the other thing that outlives a request; those of
    # `streams` do not.
    creating = {
        str(path.relative_to(ROOT / "app"))
        for path in (ROOT / "app").rglob("*.py")
        if "create_task(" in path.read_text()
    }

    assert creating <= {"generation.py", "main.py", "cli.py", "providers/embedded.py", "streams.py"}


def test_nothing_names_the_address_of_a_package_registry() -> None:
    locks = [path.read_text() for path in ROOT.glob("requirements*.lock")]

    assert len(locks) == 3
    assert [lock for lock in locks if "://" in lock or "file:" in lock] == []
    assert all("--hash=sha256:" in lock for lock in locks)
