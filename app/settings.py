"""Settings: every one of them, from the environment or a `.env` file."""

import ipaddress
import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

POSTGRESQL_OPTIONS = {"host", "port", "ssl", "sslmode", "target_session_attrs"}
"""What may come behind the `?` of a database's address."""

WITHOUT_BLANKS = {"openai_base_url", "openai_api_key", "host"}
"""What makes no sense with a blank in it."""

ONE_A_LINE = "in a file .env each setting has a line of its own"

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


class Settings(BaseSettings):
    """How the server runs. Each field is an environment variable of the same name, in capitals."""

    # What is refused may be a key, or a password in an address.
    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True)

    openai_base_url: str | None = Field(
        default=None,
        description="Address of any OpenAI-compatible server, such as Ollama's `http://127.0.0.1:11434/v1`. "
        "Default: OpenAI's own where a key is set, else the built-in model.",
    )
    openai_api_key: SecretStr | None = Field(
        default=None, description="Key for that server. It stays on this machine."
    )
    model: str | None = Field(
        default=None,
        description="Model to ask for, by that server's name for it. Default: the first one it lists.",
    )
    local_model_path: Path | None = Field(
        default=None, description="A GGUF file to run instead of the built-in model, by the same engine."
    )
    system_prompt: str = Field(
        default="You are a friendly and knowledgeable assistant. "
        "Answer the user's question directly, in plain English.",
        description="What every model is told first; empty for nothing.",
    )
    database_url: str = Field(
        default="sqlite:///data/chat.db",
        description="Where conversations are kept: `sqlite:///path/to/file`, or "
        "`postgresql://user:password@host/name` for several processes or hosts.",
    )
    generate_in: Literal["web", "worker"] = Field(
        default="web",
        description="Where answers are written: in the `web` processes, or in those that "
        "`python -m app worker` starts, so that web processes can be replaced at any moment.",
    )
    grace_seconds: float = Field(
        default=7,
        ge=0,
        description="How long answers may go on being written when the server is told to end (SIGTERM); "
        "what is left then is kept as interrupted. Ctrl-C does not wait.",
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Names by which browsers may call this server, besides localhost; commas between.",
    )
    open_to_network: bool = Field(
        default=False,
        description="Listen on an address that others can reach, although there are no accounts: "
        "everyone who reaches it reads and writes everything.",
    )
    prompt_limit: int = Field(default=200_000, gt=0, description="Longest prompt, in characters.")
    body_limit: int = Field(default=2_000_000, gt=0, description="Largest request body, in bytes.")
    answer_limit: int = Field(
        default=1_000_000, gt=0, description="Longest answer, in characters; it is cut there, and says so."
    )
    first_token_seconds: float = Field(
        default=60, gt=0, description="How long a model may take to begin its answer."
    )
    idle_seconds: float = Field(default=60, gt=0, description="How long a model may pause within an answer.")
    metrics: bool = Field(
        default=False,
        description="Serve what Prometheus is told at `/metrics`, to everyone who reaches this server; "
        "docs/observability.md lists it.",
    )
    metrics_port: int | None = Field(
        default=None,
        gt=0,
        le=65535,
        description="Serve the same at this port of `HOST`, apart from the pages. A process that "
        "`python -m app worker` starts serves nothing else.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="warning", description="What the log tells; `info` has a line for each request."
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="How the log is written, to standard error: for people, or for programs."
    )

    @model_validator(mode="before")
    @classmethod
    def _without_the_empty(cls, values: dict[str, object]) -> dict[str, object]:
        """What is empty counts as not set: so compose passes on what nobody gave. No prompt is a choice."""
        return {name: value for name, value in values.items() if value != "" or name == "system_prompt"}

    @field_validator("*", mode="before")
    @classmethod
    def _one_setting(cls, value: object, info: ValidationInfo) -> object:
        """Two in one line of the file would be one setting with a long value, and the other not set."""
        name = info.field_name
        if not isinstance(value, str) or name in ("system_prompt", "local_model_path"):
            return value
        if found := re.search(rf"\s({'|'.join(cls.model_fields)})\s*=", value, re.IGNORECASE):
            raise ValueError(f"{found[1].upper()} is set within its value; {ONE_A_LINE}")
        if name in WITHOUT_BLANKS and re.search(r"\s", value.strip()):
            raise ValueError(f"it has a blank in it; {ONE_A_LINE}")
        return value.strip() if name == "host" else value

    @field_validator("log_level", "log_format", mode="before")
    @classmethod
    def _in_lower_case(cls, value: object) -> object:
        return value.strip().lower() if isinstance(value, str) else value

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _split_at_commas(cls, value: object) -> object:
        return (
            tuple(name.strip().lower() for name in value.split(",") if name.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("allowed_hosts")
    @classmethod
    def _names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if any(re.search(r"\s", name) for name in names):
            raise ValueError("a name has a blank in it; between names there are commas")
        return names

    @field_validator("openai_base_url")
    @classmethod
    def _an_address(cls, value: str | None) -> str | None:
        if value and not re.match(r"https?://[^/\s]", value.strip()):
            raise ValueError("this is no address: it looks like http://127.0.0.1:11434/v1")
        return value

    @field_validator("database_url")
    @classmethod
    def _a_store(cls, value: str) -> str:
        if not re.match(r"sqlite(\+aiosqlite)?:///(?!:memory:)[^?]|postgres(ql)?(\+asyncpg)?://", value):
            raise ValueError(
                "this is neither sqlite:///path/to/file nor postgresql://user:password@host/name"
            )
        value = value.replace("postgres://", "postgresql://", 1)
        try:
            url = make_url(value)
        except (ArgumentError, ValueError):
            url = None
        if url is None or "@" in (url.host or ""):
            raise ValueError(
                "this is no address; in a password @ is written %40, / is %2F, : is %3A, % is %25"
            )
        if url.get_backend_name() == "postgresql" and (unknown := set(url.query) - POSTGRESQL_OPTIONS):
            known = ", ".join(sorted(POSTGRESQL_OPTIONS))
            raise ValueError(f"it has an option that is not known, {min(unknown)}; these are: {known}")
        return value

    @model_validator(mode="after")
    def _insist_to_leave_loopback(self) -> Self:
        if not self.open_to_network and not is_loopback(self.host):
            raise ValueError(
                f"refusing to listen on {self.host}: there are no accounts, so everyone who can reach it "
                "could read every conversation. Set OPEN_TO_NETWORK=true to insist, and ALLOWED_HOSTS to "
                "the names by which it is called"
            )
        return self

    @cached_property
    def embedded(self) -> bool:
        """Whether the built-in model answers: no server and no key was named."""
        return self.openai_base_url is None and self.openai_api_key is None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
