"""A short run of `make chaos`: a few kills, and nothing lost."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.fault(30)
def test_a_few_kills_lose_nothing() -> None:
    # By itself, as its users' event loop cannot share a thread with the browser's.
    command = "-m e2e.chaos --store sqlite --processes 2 --kills 6 --users 6 --seed 6 --seconds-at-most 20"

    run = subprocess.run(
        [sys.executable, *command.split()], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert run.returncode == 0, run.stdout + run.stderr
