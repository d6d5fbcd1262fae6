"""Logs: what each line says of where it comes from, as text or as JSON.

No line holds a prompt, an answer or a key: what other libraries say below a warning is left out at every
level, since some of them log what they send.
"""

import json
import logging
import logging.config
import time
from contextvars import ContextVar
from typing import Any, Literal

from opentelemetry import trace

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The request that is being answered, or that began what is being done."""

answer_id: ContextVar[int | None] = ContextVar("answer_id", default=None)
"""The answer that is being written."""

ORIGIN = ("request_id", "answer_id", "trace_id")
ACCESS = ("method", "path", "status", "seconds")

OURS = ("app", "uvicorn")
"""Whose lines `LOG_LEVEL` is about."""

# A line break in a message must not look like another line.
_ESCAPED = {code: repr(chr(code))[1:-1] for code in (*range(32), *range(127, 160), 0x2028, 0x2029)}


def configure(lines: Literal["text", "json"], level: str) -> dict[str, Any]:
    """Have all loggers of this process write such lines to standard error; the same for `dictConfig`."""
    configuration = {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"origin": {"()": "app.logs.Origin"}},
        "formatters": {"lines": {"()": "app.logs.JsonLines" if lines == "json" else "app.logs.TextLines"}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stderr",
                "formatter": "lines",
                "filters": ["origin"],
            }
        },
        "root": {"level": "ERROR" if level == "error" else "WARNING", "handlers": ["stderr"]},
        "loggers": {name: {"level": level.upper()} for name in OURS},
    }
    logging.config.dictConfig(configuration)
    logging.captureWarnings(True)
    return configuration


def announce(sentence: str) -> None:
    """Say what an operator should see at any level; as text it is the sentence alone."""
    logger = logging.getLogger("app")
    extra = {"announced": True}
    logger.handle(logger.makeRecord(logger.name, logging.INFO, __file__, 0, sentence, (), None, extra=extra))


class Origin(logging.Filter):
    """Adds to each record which request, answer and trace it is about, where it does not say so itself."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = getattr(record, "request_id", request_id.get())
        record.answer_id = getattr(record, "answer_id", answer_id.get())
        context = trace.get_current_span().get_span_context()
        record.trace_id = trace.format_trace_id(context.trace_id) if context.is_valid else None
        return True


class TextLines(logging.Formatter):
    """`2026-11-23T16:22:04.123Z WARNING app.errors: what happened [request_id=1f answer_id=12]`."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base's name
        message = record.message.translate(_ESCAPED)
        if getattr(record, "announced", False):
            return message
        origin = " ".join(f"{name}={value}" for name, value in _said(record, ORIGIN).items())
        line = f"{_time(record)} {record.levelname} {record.name}: {message}"
        return f"{line} [{origin}]" if origin else line


class JsonLines(logging.Formatter):
    """One JSON object a line, an exception with its traceback included."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_said(record, ORIGIN + ACCESS),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            fields["stack"] = record.stack_info
        return json.dumps(fields, default=str)


def _said(record: logging.LogRecord, names: tuple[str, ...]) -> dict[str, object]:
    return {name: value for name in names if (value := getattr(record, name, None)) is not None}


def _time(record: logging.LogRecord) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03}Z"
