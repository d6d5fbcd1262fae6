"""Settings: from the environment, refused with a reason, and all of them documented."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.cli import settings_table
from app.settings import Settings, is_loopback

DOCUMENTED = Path(__file__).parent.parent / "docs" / "settings.md"


def test_the_built_in_model_answers_where_no_server_and_no_key_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Settings().embedded
    monkeypatch.setenv("OPENAI_API_KEY", "")
    assert Settings().embedded
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    assert not Settings().embedded
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1")
    assert not Settings().embedded


def test_what_is_empty_counts_as_not_set_and_wins_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "none.env").write_text("METRICS_PORT=9100\nPROMPT_LIMIT=\n")
    assert Settings().metrics_port == 9100
    assert Settings().prompt_limit == Settings.model_fields["prompt_limit"].default

    monkeypatch.setenv("METRICS_PORT", "")

    assert Settings().metrics_port is None


def test_an_empty_system_prompt_is_none_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert Settings().system_prompt
    (tmp_path / "none.env").write_text("SYSTEM_PROMPT=\n")
    assert Settings().system_prompt == ""

    (tmp_path / "none.env").unlink()
    monkeypatch.setenv("SYSTEM_PROMPT", "")

    assert Settings().system_prompt == ""


def test_a_key_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")

    assert "sk-secret" not in repr(Settings())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "chat.example"])
def test_listening_where_others_can_reach_it_must_be_insisted_on(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("HOST", host)
    with pytest.raises(ValidationError, match="OPEN_TO_NETWORK"):
        Settings()

    monkeypatch.setenv("OPEN_TO_NETWORK", "true")
    assert Settings().host == host


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("example.org", False),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_names_are_split_at_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", "Chat.example, other.example ,")

    assert Settings().allowed_hosts == ("chat.example", "other.example")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("OPENAI_BASE_URL=http://127.0.0.1:11434/v1 MODEL=llama3.2", "MODEL is set within its value"),
        ("OPENAI_API_KEY=sk-secret MODEL=gpt", "MODEL is set within its value"),
        ("MODEL=llama3.2 openai_base_url=http://127.0.0.1:11434/v1", "OPENAI_BASE_URL is set within"),
        ("DATABASE_URL=sqlite:///secret/chat.db PORT=8001", "PORT is set within its value"),
        ("OPENAI_BASE_URL=http://127.0.0.1:11434/v1 secret", "it has a blank in it"),
        ("OPENAI_API_KEY=sk-secret and more", "it has a blank in it"),
        ("MODEL=llama3.2 OPENAI_BASE_URL = http://127.0.0.1/v1", "OPENAI_BASE_URL is set within"),
        ("HOST=127.0.0.1 secret", "it has a blank in it"),
    ],
)
def test_what_is_set_within_another_setting_is_told_and_not_lost(
    tmp_path: Path, line: str, sentence: str
) -> None:
    (tmp_path / "none.env").write_text(f"{line}\n")

    with pytest.raises(ValidationError, match=sentence) as caught:
        Settings()

    assert caught.value.errors()[0]["msg"].endswith("; in a file .env each setting has a line of its own")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "SYSTEM_PROMPT=Whoever asks for MODEL=x gets it",
        "DATABASE_URL=sqlite:///my folder/chat.db",
        "MODEL=My own model",
        "LOCAL_MODEL_PATH=/models/my port=3.gguf",
        "HOST=' 127.0.0.1'",
        "HOST=127.0.0.1 # PORT=8001",
        "OPENAI_BASE_URL=http://127.0.0.1/v1?a=b&model=c",
    ],
)
def test_a_blank_that_makes_sense_may_stay(tmp_path: Path, line: str) -> None:
    (tmp_path / "none.env").write_text(f"{line}\n")

    assert line.partition("=")[0].lower() in Settings().model_fields_set


def test_between_names_there_are_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", "chat.example other.example")

    with pytest.raises(ValidationError, match="between names there are commas"):
        Settings()


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("mysql://x", "neither sqlite"),
        ("postgresql://user:password@host:many/name", "this is no address"),
        ("postgresql://user:p@ssword@host/name", "in a password @ is written %40"),
        ("postgresql://user:password@host/name?channel_binding=require", "not known, channel_binding"),
    ],
)
def test_an_address_that_is_no_databases_is_refused_with_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, address: str, sentence: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", address)

    with pytest.raises(ValidationError, match=sentence) as caught:
        Settings()

    assert "p@ss" not in caught.value.errors()[0]["msg"]


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://user:p%40ssword@host:5433/name",
        "postgresql://user@/name?host=/run/postgresql",
        "postgres://user:password@host/name?sslmode=require",
    ],
)
def test_an_address_may_have_what_hosts_of_databases_give(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", address)

    assert Settings().database_url.startswith("postgresql://")


def test_the_documented_settings_are_the_settings() -> None:
    assert settings_table() in DOCUMENTED.read_text()
    assert all(field.description for field in Settings.model_fields.values())
