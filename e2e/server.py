"""The application in a child process, and a TCP proxy in front of it that can cut connections."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Self

ROOT = Path(__file__).parent.parent
START_SECONDS = 20


class Server:
    """The real command, `python -m app serve`, on a free port, with settings of its own only.

    With `command="worker"` it is the one that writes answers for others, and listens nowhere.
    """

    def __init__(self, folder: Path, *, module: str = "app", command: str = "serve", **settings: str) -> None:
        self.folder = folder
        self._program = [sys.executable, "-m", module]
        self._command = command
        self._settings = {
            "PORT": "0",
            "DATABASE_URL": f"sqlite:///{folder}/chat.db",
            **{name.upper(): value for name, value in settings.items()},
        }
        self.url = ""
        self.said_first, self.log = "", ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server and wait until it says where it listens; a port that it had it gets again."""
        self._process = subprocess.Popen(
            [*self._program, self._command],
            cwd=self.folder,
            env=self._environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr
        self.said_first = ""
        for line in self._process.stderr:
            self.said_first += line
            if address := re.search(r"http://\S+:(\d+)", line):
                self.url, self._settings["PORT"] = address.group(), address.group(1)
                break
            if "writing answers" in line:
                break
        else:
            self._process.wait(5)
            self._process.stderr.close()
            raise AssertionError(f"the server did not start: {self.said_first}")
        self._log = threading.Thread(target=self._read_log, args=(self._process.stderr,), daemon=True)
        self._log.start()

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run another command with the same settings, to its end."""
        return subprocess.run(
            [*self._program, command],
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )

    def stop(self) -> None:
        """End it as an operator does who does not want to wait, if it has not ended."""
        self.end(signal.SIGINT, seconds=15)

    def end(self, how: signal.Signals, *, seconds: float) -> int:
        """Send a signal; the exit status, which must come in time."""
        self.signal(how)
        return self.wait(seconds)

    def signal(self, what: signal.Signals) -> None:
        """Send a signal; nothing happens to a process that has ended."""
        self._process.send_signal(what)

    def wait(self, seconds: float) -> int:
        """Wait until it has ended; the exit status."""
        status = self._process.wait(seconds)
        self._log.join(5)
        return status

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._process.wait(5)
        self._log.join(5)

    @property
    def database_url(self) -> str:
        """Where it keeps everything."""
        return self._settings["DATABASE_URL"]

    @property
    def alive(self) -> bool:
        """Whether its process runs, or is frozen."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def cpu_seconds(self) -> float:
        """The processor time that it has used (Linux)."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def memory_kb(self) -> int:
        """The memory that it has in use (Linux)."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._settings["PORT"])

    def _environment(self) -> dict[str, str]:
        """In a folder without a .env nothing else of this machine is read."""
        kept = {
            name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TMPDIR", "LANG")
        }
        return {**kept, "PYTHONPATH": str(ROOT), **self._settings}

    def _read_log(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self.log += line


class Proxy:
    """Passes TCP connections on to a port, until it is told to cut them."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._handlers: set[asyncio.Task[None]] = set()
        self._open = True
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(5):
            raise AssertionError("the proxy did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)

    @property
    def url(self) -> str:
        """The address to use in the place of the server's."""
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Drop every connection, and every new one."""
        self._loop.call_soon_threadsafe(self._cut)

    def mend(self) -> None:
        """Let new connections through again."""
        self._loop.call_soon_threadsafe(self._mend)

    def _mend(self) -> None:
        self._open = True

    def _cut(self) -> None:
        self._open = False
        for writer in self._writers:
            writer.transport.abort()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._handle, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        self._cut()
        while self._handlers:
            # Who was about to connect does so still, and is dropped then.
            await asyncio.wait(self._handlers, timeout=0.1)
            self._cut()
        await asyncio.sleep(0)  # in which they are closed

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if handler := asyncio.current_task():
            self._handlers.add(handler)
            handler.add_done_callback(self._handlers.discard)
        await self._accept(reader, writer)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._to)
        except ConnectionError:
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        copies = [asyncio.create_task(_copy(reader, back)), asyncio.create_task(_copy(there, writer))]
        try:
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in (writer, back):
                self._writers.discard(one)
                one.transport.abort()
            await asyncio.gather(*copies)


async def _copy(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            to.write(data)
            await to.drain()
    except ConnectionError:
        return
