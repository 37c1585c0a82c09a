"""Log lines that say what they are about: the tenant, the promotion, the process, the trace.

What a line is about is bound where the work on it begins, and every line written meanwhile carries it,
whichever library writes it. Text lines tell it at their end; JSON lines have a field each. Which
levels are written is not decided here.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Literal, TextIO

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from pipeline.core.errors import WorkbenchError

LogFormat = Literal["text", "json"]
Fields = Mapping[str, object]
Trace = Callable[[], Fields]
"""Answers the ids of the span under way; nothing where there is none."""

DISTRIBUTION = "analytics-workbench"
ABOUT = ("tenant_id", "promotion_id", "trace_id", "span_id")
"""What a line may be about, in the order in which text lines tell it."""

_bound: ContextVar[Fields] = ContextVar("log_fields", default={})  # noqa: B039 - it is never changed in place


def bind(**fields: object) -> None:
    """Let every line of this task or thread be about this from now on."""
    _bound.set({**_bound.get(), **fields})


@contextmanager
def bound(**fields: object) -> Iterator[None]:
    """Let every line of the block be about this; a known error that leaves the block carries it along."""
    token = _bound.set({**_bound.get(), **fields})
    try:
        yield
    except WorkbenchError as error:
        error.about = {**_bound.get(), **error.about}
        raise
    finally:
        _bound.reset(token)


def handler(
    line_format: LogFormat, *, process: str, trace: Trace = dict, stream: TextIO | None = None
) -> logging.Handler:
    """A handler that writes lines to a stream, else to standard error; `process` is the name of what runs here."""
    made = logging.StreamHandler(stream)
    made.addFilter(_About(trace))
    made.setFormatter(_Text() if line_format == "text" else json_formatter(process))
    return made


def json_formatter(process: str) -> logging.Formatter:
    """One JSON object a line: timestamp, level, logger, message, process, pid, version, and what it is about."""
    return _Json(
        "{message}",
        style="{",
        static_fields={"process": process, "pid": os.getpid(), "version": version(DISTRIBUTION)},
        json_ensure_ascii=False,
        reserved_attrs=[*RESERVED_ATTRS, "color_message"],
    )


class PassedOn(logging.Formatter):
    """Lines of another process: a JSON object stays as it is, anything else becomes a message of that process."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._wrapping = json_formatter(process)

    def format(self, record: logging.LogRecord) -> str:
        line = record.getMessage()
        return line if _is_json_object(line) else self._wrapping.format(record)


class _About(logging.Filter):
    """Puts what a line is about on its record; what the caller gave by `extra` stays."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self._trace = trace

    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in {**self._trace(), **_bound.get()}.items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True


class _Text(logging.Formatter):
    """`WARNING pipeline.schedule.loop: ... [tenant_id=acme promotion_id=7]`."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        about = " ".join(f"{name}={value}" for name in ABOUT if (value := getattr(record, name, None)) is not None)
        line = super().formatMessage(record)
        return f"{line} [{about}]" if about else line


class _Json(JsonFormatter):
    def add_fields(
        self, log_data: dict[str, object], record: logging.LogRecord, message_dict: dict[str, object]
    ) -> None:
        moment = datetime.fromtimestamp(record.created, UTC)
        log_data["timestamp"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        log_data["level"] = record.levelname.lower()
        log_data["logger"] = record.name
        super().add_fields(log_data, record, message_dict)


def _is_json_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
