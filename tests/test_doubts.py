"""Doubts: what of the settings was hardly meant is told in the log, and nothing else is."""

import logging
from pathlib import Path
from typing import Literal

import pytest

from app import doubts
from app.main import create_app
from app.providers.scripted import ScriptedProvider
from app.settings import Settings


def told(caplog: pytest.LogCaptureFixture, file: Path, text: str) -> list[str]:
    """What the log is told of a `.env` of this text."""
    file.write_text(text)
    doubts.tell(Settings())
    return [record.message for record in caplog.records if record.name == "app.doubts"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "none.env"


def test_a_name_that_is_no_setting_is_told_with_the_likely_one(
    caplog: pytest.LogCaptureFixture, file: Path
) -> None:
    said = told(
        caplog,
        file,
        "OPENAI_BASEURL=http://127.0.0.1:1/v1\nsystem_promt=\nNONSENSE=secret\nport=8001\nMODEL\x1b[31m=a\n",
    )

    assert said == [
        f"{file}, line 1: OPENAI_BASEURL is no setting, and is ignored. Is it OPENAI_BASE_URL that you mean?",
        f"{file}, line 2: system_promt is no setting, and is ignored. Is it SYSTEM_PROMPT that you mean?",
        # It may be a key that was pasted there.
        f"{file}, line 3 names no setting, and is ignored.",
        f"{file}, line 5 names no setting, and is ignored.",
    ]


def test_a_line_that_sets_nothing_is_told_by_its_number(caplog: pytest.LogCaptureFixture, file: Path) -> None:
    said = told(caplog, file, '# settings\n\nMODEL: secret\nsk-secret\n\n\nMODEL="secret\nPORT=8001\n')

    assert said == [f"{file}, line {number} is no NAME=value, and is ignored." for number in (3, 4, 7)]


@pytest.mark.parametrize(
    "text", ["", "# settings\n\n  \nexport PORT=8001\nHOST='127.0.0.1' # here\nMETRICS=\n"]
)
def test_where_all_is_set_as_it_should_be_nothing_is_told(
    caplog: pytest.LogCaptureFixture, file: Path, text: str
) -> None:
    assert told(caplog, file, text) == []


def test_names_in_the_environment_are_for_others_too(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASEURL", "http://127.0.0.1:1/v1")

    doubts.tell(Settings())

    assert caplog.records == []


@pytest.mark.parametrize(("server", "is_told"), [("", True), ("OPENAI_API_KEY=sk-x\n", False)])
def test_a_model_without_a_server_is_told(
    caplog: pytest.LogCaptureFixture, file: Path, server: str, *, is_told: bool
) -> None:
    said = told(caplog, file, f"{server}MODEL=llama3.2\n")

    assert ["MODEL is not used" in sentence for sentence in said] == [True] * is_told


@pytest.mark.parametrize(("where", "is_told"), [("web", True), ("worker", False)])
def test_a_worker_that_is_left_nothing_is_told(
    caplog: pytest.LogCaptureFixture, where: Literal["web", "worker"], *, is_told: bool
) -> None:
    settings = Settings(generate_in=where)

    doubts.tell(settings)
    assert caplog.records == []

    doubts.tell(settings, works=True)
    assert ["Set GENERATE_IN=worker" in record.message for record in caplog.records] == [True] * is_told


def test_an_application_of_ones_own_tells_too(caplog: pytest.LogCaptureFixture, file: Path) -> None:
    file.write_text("MODLE=x\nMODEL=y\n")

    with caplog.at_level(logging.WARNING):
        create_app()
        of_ours = caplog.text
        caplog.clear()
        create_app(provider=ScriptedProvider())

    assert "Is it MODEL that you mean?" in of_ours
    assert "MODEL is not used" in of_ours
    assert "Is it MODEL that you mean?" in caplog.text
    assert "MODEL is not used" not in caplog.text  # nor is any other setting of a server's
