"""Where models run, and `prompt_llm_async`: messages in, the answer out, piece by piece."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING

from app.providers.pace import Pace
from app.providers.provider import ChatMessage, Delta, Failure, Provider, ProviderError, State, Usage

if TYPE_CHECKING:
    from app.settings import Settings

__all__ = [
    "ChatMessage",
    "Delta",
    "Failure",
    "Pace",
    "Provider",
    "ProviderError",
    "State",
    "Usage",
    "choose_provider",
    "prompt_llm_async",
]


async def prompt_llm_async(
    messages: Sequence[ChatMessage], *, provider: Provider | None = None
) -> AsyncGenerator[Delta, None]:
    """Send messages to a model and yield its answer as it arrives.

    `str(delta)` is the text of a piece; `delta.reasoning`, `delta.usage` and `delta.finish` hold what
    else came. Without a `provider` the one that the settings choose is opened, and closed at the end.
    Raises `ProviderError`, whose text is a sentence for the person who asked. Closing the generator
    (`contextlib.aclosing`) stops the model at once.

        async for piece in prompt_llm_async([{"role": "user", "content": "Hi"}]):
            print(piece, end="", flush=True)
    """
    async with AsyncExitStack() as stack:
        if provider is None:
            from app.settings import Settings

            provider = choose_provider(Settings())
            stack.push_async_callback(provider.close)
            await provider.start()
        deltas = await stack.enter_async_context(aclosing(provider.stream(messages)))
        async for delta in deltas:
            yield delta


def choose_provider(settings: "Settings", pace: Pace | None = None) -> Provider:
    """The provider that the settings name: a server for an address or a key, else the built-in model.

    It may keep a `pace` between the first words of an answer and its end.
    """
    # Imported only here: they need the words of this package.
    if settings.embedded:
        from app.providers.embedded import EmbeddedProvider

        return EmbeddedProvider(
            settings.local_model_path,
            first_token_seconds=settings.first_token_seconds,
            idle_seconds=settings.idle_seconds,
            pace=pace,
        )
    from app.providers.openai import OPENAI, OpenAIProvider

    key = settings.openai_api_key
    return OpenAIProvider(
        settings.openai_base_url or OPENAI,
        key=key.get_secret_value() if key else None,
        model=settings.model,
        first_token_seconds=settings.first_token_seconds,
        idle_seconds=settings.idle_seconds,
        pace=pace,
    )
