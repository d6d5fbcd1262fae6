"""Install the system libraries that prebuilt wheels need, where the rights are there; else name them.

Takes no arguments. Exit code 1 where some are missing: the application still runs, less what needs them.
"""

import ctypes
import os
import shutil
import subprocess
import sys

# Library -> Debian package. libgomp runs the built-in model's threads; libatomic is needed by the
# Node.js inside Playwright's wheel. Minimal images lack both.
LIBRARIES = {"libgomp.so.1": "libgomp1", "libatomic.so.1": "libatomic1"}


def main() -> int:
    """Check each library by loading it, then try the system's package manager once."""
    if sys.platform != "linux":
        return 0
    missing = absent()
    if missing and shutil.which("apt-get"):
        apt_install(missing)
        missing = absent()
    if missing:
        print(
            f"Please install: apt install {' '.join(missing)} (the built-in model and the tests need them)",
            file=sys.stderr,
        )
    return len(missing) > 0


def absent() -> list[str]:
    """The packages whose library does not load."""
    return [package for library, package in LIBRARIES.items() if not loads(library)]


def loads(library: str) -> bool:
    """Whether the dynamic linker finds a library."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def apt_install(packages: list[str]) -> None:
    """Install Debian packages as root or by sudo without a password; silent where neither is possible."""
    apt = [*([] if os.geteuid() == 0 else ["sudo", "-n"]), "apt-get", "-qq"]
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        try:
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            command = [*apt, *arguments]
            subprocess.run(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=600,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return


if __name__ == "__main__":
    sys.exit(main())
