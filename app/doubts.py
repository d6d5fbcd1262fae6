"""Doubts about the settings: what is allowed, and was hardly meant."""

import logging
import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from dotenv.parser import parse_stream

from app.settings import Settings

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")

_log = logging.getLogger(__name__)


def tell(settings: Settings, *, own_model: bool = False, works: bool = False) -> None:
    """Write what is doubtful to the log, a line each.

    `own_model` where the settings choose no model, `works` where answers are written for others.
    """
    file = Settings.model_config.get("env_file")
    if isinstance(file, (str, Path)) and Path(file).is_file():
        for doubt in _of_file(Path(file)):
            _log.warning("%s", doubt)
    if settings.model and settings.embedded and not own_model:
        _log.warning(
            "MODEL is not used, as no server is set to have it: OPENAI_BASE_URL or OPENAI_API_KEY sets one."
        )
    if works and settings.generate_in != "worker":
        _log.warning(
            "GENERATE_IN is not worker: web processes with these settings write their answers themselves "
            "and leave none to this one. Set GENERATE_IN=worker for all of them."
        )


def _of_file(path: Path) -> Iterator[str]:
    """Lines that set nothing. Only a name like a setting's is repeated: anything else may be a key."""
    with path.open(encoding="utf-8") as lines:
        for line in parse_stream(lines):
            said = line.original.string
            number = line.original.line + said[: len(said) - len(said.lstrip())].count("\n")
            if line.key and line.value is not None:
                if line.key.lower() not in Settings.model_fields:
                    yield f"{path}, line {number}{_unknown(line.key)}"
            elif line.key or line.error:
                yield f"{path}, line {number} is no NAME=value, and is ignored."


def _unknown(name: str) -> str:
    likely = get_close_matches(name.lower(), Settings.model_fields, n=1)
    if not likely or not _NAME.fullmatch(name):
        return " names no setting, and is ignored."
    return f": {name} is no setting, and is ignored. Is it {likely[0].upper()} that you mean?"
