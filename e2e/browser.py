"""Print the path of a Chromium for the end-to-end tests; an empty line means Playwright's own build.

Tried in turn: CHROMIUM_EXECUTABLE, one on this machine, Debian's package, Playwright's download.
With `shell`, it is one without a window of its own, as Playwright's build is; measurements are made in that.
Exit code 1, and a line on what to do, where none can be had.
"""

import os
import shutil
import subprocess
import sys

from playwright.sync_api import Error, sync_playwright

PLAYWRIGHT = [sys.executable, "-m", "playwright"]
MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", MAC)
SHELL = ("chromium-headless-shell",)
"""By these names a browser is looked for; the first is that of Debian's package."""


def main() -> int:
    """Find or install a browser and print where it is."""
    shell = sys.argv[1:] == ["shell"]
    names = SHELL if shell else NAMES
    found = chosen() or on_this_machine(names) or from_debian(names) or from_playwright()
    if found is None and shell:
        found = on_this_machine(NAMES)
    if found is None:
        say("no usable Chromium: install one and set CHROMIUM_EXECUTABLE=/path/to/it")
        return 1
    print("" if found == "playwright" else found)
    return 0


def chosen() -> str | None:
    """What the environment names."""
    path = os.environ.get("CHROMIUM_EXECUTABLE")
    return path if path and launches(path) else None


def on_this_machine(names: tuple[str, ...]) -> str | None:
    """A Chromium or Chrome that is already installed."""
    paths = (path for name in names if (path := shutil.which(name)))
    return next((path for path in paths if launches(path)), None)


def from_debian(names: tuple[str, ...]) -> str | None:
    """Debian's package, where there is apt and the right to use it."""
    if not shutil.which("apt-get"):
        return None
    apt = [*([] if os.geteuid() == 0 else ["sudo", "-n"]), "apt-get", "-qq"]
    if not run([*apt, "update"], 300):
        return None
    run([*apt, "install", "-y", "--no-install-recommends", names[0], "fonts-dejavu-core", "libatomic1"], 900)
    return on_this_machine(names)


def from_playwright() -> str | None:
    """Playwright's own build, downloaded."""
    if run([*PLAYWRIGHT, "install", "--only-shell", "chromium"], 900) and launches(None):
        return "playwright"
    if sys.platform == "linux" and run([*PLAYWRIGHT, "install-deps", "chromium"], 900) and launches(None):
        return "playwright"
    return None


def launches(path: str | None) -> bool:
    """Whether this browser starts and answers."""
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=path, timeout=30_000)
            say("using", path or "Playwright's Chromium", browser.version)
            browser.close()
    except Error as error:
        say(str(error).splitlines()[0])
        return False
    return True


def run(command: list[str], seconds: float) -> bool:
    """Run a command quietly; whether it succeeded in time."""
    say("$", *command)
    # Playwright's default waits five times thirty seconds where the network swallows the connection.
    environment = {
        **os.environ,
        "DEBIAN_FRONTEND": "noninteractive",
        "PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT": "5000",
    }
    try:
        finished = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        say(str(error))
        return False
    return finished.returncode == 0


def say(*words: str) -> None:
    """Progress, on standard error: standard output is the answer."""
    print("browser:", *words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
