"""The command line: what it prints and refuses."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import main


def test_help_names_the_commands() -> None:
    said = CliRunner().invoke(main, ["--help"]).output

    assert "serve" in said
    assert "settings" in said


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("HOST", "0.0.0.0", "refusing to listen on 0.0.0.0"),
        ("PORT", "lots", "PORT: Input should be a valid integer"),
        ("DATABASE_URL", "postgresql://x", "DATABASE_URL: only sqlite:///path/to/file is supported"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_in_one_line(
    name: str, value: str, sentence: str, tmp_path: Path
) -> None:
    result = CliRunner().invoke(main, ["serve"], env={name: value})

    assert result.exit_code == 2
    assert sentence in result.output
    assert "Traceback" not in result.output
    assert len(result.output.strip().splitlines()) == 1
