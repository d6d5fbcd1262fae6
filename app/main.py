"""The application: where its parts are chosen and joined."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from fastapi import FastAPI
from starlette.middleware import Middleware

from app import doubts, tracing
from app.access import Access
from app.calls import observed
from app.db import Database
from app.deps import Chat
from app.errors import ErrorPages, add_handlers
from app.generation import Generations
from app.metrics import Metrics
from app.polling import poll
from app.prompts import prompting
from app.providers import Pace, Provider, choose_provider, prompt_llm_async
from app.providers.own import Generate, OwnProvider
from app.routes import completion, conversations, demos, health, messages, status
from app.security import BodyLimit, CrossSite, FormCharset, HostAllowlist, SecurityHeaders
from app.settings import LOOPBACK_NAMES, Settings
from app.static_files import StaticFiles
from app.streams import Streams
from app.templating import Templates
from app.wakeups import WakeUps


def create_app(
    settings: Settings | None = None,
    generate: Generate | None = None,
    *,
    provider: Provider | None = None,
    reload: bool = False,
) -> FastAPI:
    """The chat as an ASGI application.

    `generate` answers in the place of the model that the settings choose: an async generator
    function that takes the messages so far (`[{"role": "user", "content": "Hi"}, …]`,
    behind the system prompt) and yields text (`str`, `Delta`, or None for nothing).
    A `provider` of one's own says more: its model's name, and whether it is ready.
    """
    if settings is None:
        settings = Settings()
        doubts.tell(settings, own_model=bool(generate or provider))
    if generate and not provider:
        provider = OwnProvider(
            generate, first_token_seconds=settings.first_token_seconds, idle_seconds=settings.idle_seconds
        )
    pace = Pace()
    provider = provider or choose_provider(settings, pace)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(app.state.streams.watch(), name="end of streams")
        try:
            writes = settings.generate_in == "web"
            async with running_chat(settings, provider, pace, writes=writes) as chat:
                app.state.chat = chat
                yield
        finally:
            watching.cancel()

    app = FastAPI(
        title="fastapi-llm",
        summary="An LLM chat that is plain hypermedia.",
        version="0.1.0",
        # A prompt's length is checked by its route, which can say so with the text still in the form.
        form_limits={"max_fields": 20, "max_files": 1, "max_part_size": settings.body_limit},
        # The interactive pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        telemetry=tracing.REQUESTS,
        middleware=[
            Middleware(Access),
            Middleware(SecurityHeaders),
            Middleware(ErrorPages),
            Middleware(
                HostAllowlist,
                names={*LOOPBACK_NAMES, settings.host, *settings.allowed_hosts},
                any_address=settings.open_to_network,
            ),
            Middleware(CrossSite),
            Middleware(BodyLimit, limit=settings.body_limit),
            Middleware(FormCharset),
        ],
    )
    static = StaticFiles()
    app.state.static = static
    app.state.streams = Streams()
    app.state.templates = Templates(static, reload=reload)
    app.mount("/static", static)
    add_handlers(app)
    for routes in (conversations, completion, messages, demos, status, health):
        app.include_router(routes.router)
    if settings.metrics:
        # Imported only here: it loads Prometheus's client.
        from app.routes import numbers

        app.include_router(numbers.router)
    return app


END_SECONDS = 3


@asynccontextmanager
async def running_chat(
    settings: Settings, provider: Provider, pace: Pace, *, writes: bool
) -> AsyncIterator[Chat]:
    """The parts of the application, at work until the block ends; with `writes` it writes answers itself."""
    tracing.set_up()
    async with AsyncExitStack() as closing:
        database, wakeups, metrics = Database(settings.database_url), WakeUps(), _metrics(settings, closing)
        generations = Generations(
            database,
            wakeups,
            observed(partial(prompt_llm_async, provider=provider), metrics, tracing.tracer(), provider)
            if writes
            else None,
            partial(prompting, system_prompt=settings.system_prompt, provider=provider),
            answer_limit=settings.answer_limit,
            metrics=metrics,
            pace=pace,
        )
        closing.push_async_callback(tracing.flush)
        closing.push_async_callback(database.close)
        closing.push_async_callback(provider.close)
        await database.open()
        await generations.open()
        closing.push_async_callback(_end_of, asyncio.create_task(poll(database, wakeups), name="polling"))
        if not database.is_sqlite:
            # Imported only here: it loads PostgreSQL's driver.
            from app.notifications import Listener

            listener = Listener(database, generations.changed)
            listening = asyncio.create_task(listener.listen(), name="notifications")
            closing.push_async_callback(_end_of, listening)
            closing.callback(listener.stop)
        closing.push_async_callback(generations.close)
        if writes:
            await provider.start()
        yield Chat(settings, database, wakeups, generations, provider, metrics)


def _metrics(settings: Settings, closing: AsyncExitStack) -> Metrics:
    """What counts what the settings say that somebody looks at."""
    if not settings.metrics and not settings.metrics_port:
        return Metrics()
    # Imported only here: it loads Prometheus's client.
    from app.prometheus import Prometheus

    counting = Prometheus()
    if settings.metrics_port:
        closing.callback(counting.listen(settings.host, settings.metrics_port))
    return counting


async def _end_of(task: asyncio.Task[None]) -> None:
    """Wait until a task that was told to end has; cancelled amid a query it would leave a connection open."""
    await asyncio.wait([task], timeout=END_SECONDS)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def reloadable() -> FastAPI:
    """The application for a server that restarts itself when a file changes."""
    return create_app(reload=True)
