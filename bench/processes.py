"""Processes that are measured: how they are started, and what the system says of them (Linux)."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parent.parent
END_SECONDS = 10
ENVIRONMENT = ("PATH", "HOME", "TMPDIR", "LANG")


class Child:
    """A Python module in a process of its own, which prints the port it listens on once it does."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._command = [sys.executable, "-m", module, *arguments]
        self.port = 0

    def __enter__(self) -> Self:
        kept = {name: value for name, value in os.environ.items() if name in ENVIRONMENT}
        self._process = subprocess.Popen(self._command, cwd=ROOT, env=kept, stdout=subprocess.PIPE, text=True)
        said = self._process.stdout
        line = said.readline() if said else ""
        if not line.strip().isdigit():
            self._process.kill()
            raise AssertionError(f"{self._command[2]} did not start: {line!r}")
        self.port = int(line)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"


def cpu_seconds(pids: Iterable[int]) -> float:
    """The processor time that processes have used, by all their threads; one that has ended counts nothing.

    The number of a process's clock is made of its id (as `clock_getcpuclockid` does it). It counts
    nanoseconds, where /proc counts hundredths of a second.
    """
    seconds = 0.0
    for pid in pids:
        with suppress(OSError):
            seconds += time.clock_gettime((~pid << 3) | 2)
    return seconds


def memory_kb(pids: Iterable[int]) -> int:
    """The memory that processes have in use; what several share counts for each."""
    return sum(_status(pid, "VmRSS") for pid in pids)


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    children = [int(child) for child in text.split()]
    return [*children, *(below for child in children for below in descendants(child))]


def allow_connections() -> None:
    """Allow this process as many open connections as the system lets it have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _status(pid: int, name: str) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition(f"{name}:")[2].split()[0])
