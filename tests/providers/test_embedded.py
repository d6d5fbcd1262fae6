"""The built-in model, for real: how it starts, answers, stops and ends; never what it says."""

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from app.providers import ChatMessage, Delta, ProviderError, prompt_llm_async
from app.providers.embedded import SLOTS, EmbeddedProvider
from tests.providers.conftest import HELLO

LONG_STORY: list[ChatMessage] = [{"role": "user", "content": "Tell me a long story about the sea."}]


@pytest.fixture
async def embedded() -> AsyncIterator[EmbeddedProvider]:
    provider = EmbeddedProvider()
    await provider.start()
    yield provider
    await provider.close()


async def first_pieces(provider: EmbeddedProvider, count: int = 3) -> list[Delta]:
    """The start of a long answer, which is then stopped."""
    async with aclosing(prompt_llm_async(LONG_STORY, provider=provider)) as deltas:
        return [await anext(deltas) for _ in range(count)]


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_it_starts_by_itself_and_streams_an_answer_to_its_end() -> None:
    provider = EmbeddedProvider()
    before = time.monotonic()
    await provider.start()
    assert time.monotonic() - before < 0.1
    states = [provider.state.name]

    deltas = [delta async for delta in prompt_llm_async(HELLO, provider=provider)]

    assert [*states, provider.state.name] == ["starting", "ready"]
    assert len([delta for delta in deltas if delta.text]) > 1
    assert [delta.finish for delta in deltas if delta.finish] in (["stop"], ["length"])
    assert [delta.usage.completion_tokens > 1 for delta in deltas if delta.usage] == [True]
    await provider.close()


async def test_stopping_frees_it_for_others_at_once(embedded: EmbeddedProvider) -> None:
    for _ in range(3 * SLOTS):
        assert len(await first_pieces(embedded)) == 3


async def test_more_requests_than_it_answers_at_once_wait_their_turn(embedded: EmbeddedProvider) -> None:
    answers = await asyncio.gather(*(first_pieces(embedded) for _ in range(2 * SLOTS)))

    assert [len(answer) for answer in answers] == [3] * 2 * SLOTS


async def test_a_killed_child_interrupts_its_answer_and_another_takes_its_place(
    embedded: EmbeddedProvider,
) -> None:
    async with aclosing(prompt_llm_async(LONG_STORY, provider=embedded)) as deltas:
        await anext(deltas)
        assert embedded.pid
        os.kill(embedded.pid, signal.SIGKILL)
        with pytest.raises(ProviderError) as caught:
            await _drain(deltas)
    assert caught.value.failure == "interrupted"

    assert len(await first_pieces(embedded)) == 3


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_to_every_process_of_the_application_leaves_its_answer_to_the_application(
    embedded: EmbeddedProvider, how: signal.Signals
) -> None:
    async with aclosing(prompt_llm_async(HELLO, provider=embedded)) as deltas:
        await anext(deltas)
        assert embedded.pid
        os.kill(embedded.pid, how)
        rest = [delta async for delta in deltas]

    assert [delta.finish for delta in rest if delta.finish] in (["stop"], ["length"])


async def test_closing_within_an_answer_ends_the_child_at_once(embedded: EmbeddedProvider) -> None:
    async with aclosing(prompt_llm_async(LONG_STORY, provider=embedded)) as deltas:
        await anext(deltas)
        pid, before = embedded.pid, time.monotonic()
        await embedded.close()
        assert time.monotonic() - before < 0.5
        assert pid
        assert not exists(pid)


@pytest.mark.parametrize("turns", [0, 1, 10, 1000])
async def test_closing_while_it_starts_leaves_no_child(turns: int) -> None:
    provider = EmbeddedProvider()
    await provider.start()
    for _ in range(turns):
        await asyncio.sleep(0)

    pid = provider.pid

    await provider.close()

    assert pid is None or not exists(pid)
    gc.collect()  # A child that was left to nobody warns here, and a warning is an error.


async def test_the_child_ends_when_the_application_is_killed() -> None:
    code = (
        "import asyncio\n"
        "from app.providers.embedded import EmbeddedProvider\n"
        "async def main():\n"
        "    provider = EmbeddedProvider()\n"
        "    await provider.start()\n"
        "    while provider.state.name != 'ready': await asyncio.sleep(0.01)\n"
        "    print(provider.pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    application = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
    )
    assert application.stdout
    pid = int(await application.stdout.readline())

    application.kill()
    await application.wait()

    async with asyncio.timeout(5):
        while exists(pid):  # noqa: ASYNC110  Another process's end has no event.
            await asyncio.sleep(0.01)


async def test_without_a_model_it_says_what_to_do(tmp_path: Path) -> None:
    provider = EmbeddedProvider(folder=tmp_path)

    failure, sentence = await failure_of(provider)

    assert failure == "unavailable"
    assert "make run" in sentence
    assert "OPENAI_BASE_URL" in sentence
    assert provider.state.name == "unavailable"


async def test_without_its_engine_it_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "any.gguf").touch()
    provider = EmbeddedProvider(tmp_path / "any.gguf", folder=tmp_path)

    assert "make run" in (await failure_of(provider))[1]


async def test_a_system_library_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "any.gguf").touch()
    (tmp_path / "xllamacpp.py").write_text(
        "raise ImportError('libgomp.so.1: cannot open shared object file')"
    )
    provider = EmbeddedProvider(tmp_path / "any.gguf", folder=tmp_path)

    assert "libgomp1" in (await failure_of(provider))[1]


async def test_a_file_that_is_not_there_is_said_to_be(tmp_path: Path) -> None:
    assert "LOCAL_MODEL_PATH" in (await failure_of(EmbeddedProvider(tmp_path / "none.gguf")))[1]


async def test_a_file_that_is_no_model_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF but not really")

    assert "cannot be loaded" in (await failure_of(EmbeddedProvider(tmp_path / "broken.gguf")))[1]


async def test_a_child_that_keeps_crashing_is_said_to(tmp_path: Path) -> None:
    (tmp_path / "any.gguf").touch()
    (tmp_path / "xllamacpp.py").write_text("import os\nos.abort()")
    provider = EmbeddedProvider(tmp_path / "any.gguf", folder=tmp_path)

    assert "keeps stopping" in (await failure_of(provider))[1]


async def failure_of(provider: EmbeddedProvider) -> tuple[str, str]:
    """How an answer fails, once the provider has closed again."""
    try:
        await provider.start()
        async for delta in prompt_llm_async(HELLO, provider=provider):
            pytest.fail(f"it said {delta}")
    except ProviderError as error:
        return error.failure, str(error)
    finally:
        await provider.close()
    pytest.fail("it did not fail")


async def _drain(deltas: AsyncIterator[Delta]) -> None:
    async for _ in deltas:
        pass
