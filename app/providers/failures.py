"""What went wrong at a provider, put into words for the person who asked.

Nothing that a server sent is repeated, save numbers: its text may hold a key, HTML or an instruction.
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import uniform
from typing import Any

from app.providers.provider import ProviderError

CONTEXT = re.compile(
    r"context.?(length|size|window)|maximum.{0,20}tokens|prompt is too long|too many (input )?tokens",
    re.IGNORECASE,
)
CONTEXT_LIMIT = re.compile(r"(?:context (?:length|window|size)[^.\d]{0,20}|> )([\d,]{1,15})", re.IGNORECASE)
CONTEXT_ASKED = re.compile(r"(?:resulted in|requested(?: about)?|too long:) ([\d,]{1,15})", re.IGNORECASE)


# Made once: `json.loads` would make one for each token.
_DECODER = json.JSONDecoder(strict=False)

UNSTATED_PAUSE = (1.0, 3.0)
LONGEST_PAUSE = 30.0


@dataclass(frozen=True, slots=True)
class Asked:
    """Who was asked for what: `called` as in “the server at localhost:11434”."""

    called: str
    model: str
    with_key: bool

    def error(self, failure: Any, sentence: str) -> ProviderError:
        """A failure in a sentence that begins with who was asked."""
        return ProviderError(f"{self.called[0].upper()}{self.called[1:]} {sentence}", failure)


def of_status(status: int, body: bytes, asked: Asked, retry_after: str | None = None) -> ProviderError:
    """What an answer other than 200 means, and when it is worth asking again (`Retry-After`, RFC 9110)."""
    error = _of_error(status, error_in(parsed(body)) or {}, asked)
    if error.failure in ("rate_limited", "overloaded"):
        error.retry_seconds = _pause(retry_after)
    return error


def of_event(error: object, asked: Asked) -> ProviderError:
    """What an error means that a server sent in place of a piece of an answer."""
    details = error if isinstance(error, dict) else {"message": str(error)}
    code = details.get("code")
    status = code if isinstance(code, int) and 100 <= code < 600 else 0
    return _of_error(status, details, asked)


def broken_off(asked: Asked) -> ProviderError:
    """The stream ended before the answer did."""
    return asked.error("interrupted", "broke off before its answer was complete. Try again.")


def unreadable(asked: Asked) -> ProviderError:
    """What came back is no answer."""
    return asked.error(
        "unreadable",
        "sent something that is not an answer. Check OPENAI_BASE_URL.",
    )


def no_token_yet(seconds: float, asked: Asked) -> ProviderError:
    """Nothing of an answer came in time."""
    return asked.error("timeout", f"did not begin to answer within {seconds:g} seconds. Try again.")


def fell_silent(seconds: float, asked: Asked) -> ProviderError:
    """An answer began and did not go on."""
    return asked.error("timeout", f"fell silent for {seconds:g} seconds within its answer. Try again.")


def parsed(data: str | bytes) -> object:
    """A JSON document, or None for what is not one. Raw control characters in a text are let through."""
    try:
        return _DECODER.decode(data) if isinstance(data, str) else json.loads(data, strict=False)
    except (ValueError, RecursionError):
        return None


def error_in(document: object) -> Any:
    """The error that a server's JSON holds, in any of the usual shapes, or None."""
    if not isinstance(document, dict):
        return None
    if error := document.get("error"):
        return error
    return document if document.get("object") == "error" else None


def _of_error(status: int, error: object, asked: Asked) -> ProviderError:
    details = error if isinstance(error, dict) else {"message": str(error)}
    words = f"{details.get('code')} {details.get('type')} {details.get('message')}"
    said = f" ({status})" if status else ""
    if status in (0, 400, 413, 422, 500) and CONTEXT.search(words):
        counts = _token_counts(details)
        return asked.error("too_long", f"cannot take a conversation this long{counts}. Start a new one.")
    if "model_not_found" in words or status == 404:
        return asked.error(
            "unknown_model",
            f"has no model called “{asked.model}”, or no chat there. Check MODEL and OPENAI_BASE_URL.",
        )
    if "insufficient_quota" in words or status == 402:
        return asked.error("no_credit", "has no credit left for this key. Check the account there.")
    if status == 429 or "rate_limit" in words:
        return asked.error("rate_limited", "gets more requests than it allows. Wait, then try again.")
    if status in (401, 403):
        if not asked.with_key:
            return asked.error("refused_key", f"asks for a key{said}. Set OPENAI_API_KEY.")
        return asked.error("refused_key", f"refused the key{said}. Check OPENAI_API_KEY.")
    if status == 413:
        return asked.error("too_long", "cannot take a conversation this long. Start a new one.")
    if status in (408, 504):
        return asked.error("timeout", f"took too long{said}. Try again.")
    if status >= 500 or "overloaded" in words:
        return asked.error("overloaded", f"is overloaded or out of order{said}. Try again in a moment.")
    if 300 <= status < 400:
        return asked.error("unreadable", f"points to another address{said}. Set OPENAI_BASE_URL to that one.")
    if status:
        return asked.error("refused", f"did not accept the request{said}. Check MODEL and OPENAI_BASE_URL.")
    return asked.error("interrupted", "reported an error and broke off its answer. Try again.")


def _pause(retry_after: str | None) -> float | None:
    """Seconds until it is worth asking again; None if that is too long to let somebody wait."""
    if retry_after is None:
        # Many may have been turned away at once; they should not all come back at once.
        return uniform(*UNSTATED_PAUSE)  # noqa: S311 - nothing secret
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return uniform(*UNSTATED_PAUSE)  # noqa: S311
    return max(seconds, 0) if seconds <= LONGEST_PAUSE else None


def _token_counts(details: dict[str, Any]) -> str:
    prompt, limit = details.get("n_prompt_tokens"), details.get("n_ctx")
    if not (isinstance(prompt, int) and isinstance(limit, int)):
        message = str(details.get("message"))
        found = CONTEXT_ASKED.search(message), CONTEXT_LIMIT.search(message)
        prompt, limit = (int(match[1].replace(",", "") or 0) if match else 0 for match in found)
    return f": it has {prompt:,} tokens, and {limit:,} is the limit" if prompt and limit else ""
