"""What a process tells of its work while it does it: log lines, and traces where they are asked for."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from pipeline.core.errors import WorkbenchError

if TYPE_CHECKING:
    from pipeline.core.logs import Trace
    from pipeline.core.settings import Settings

OURS = ("api", "checks", "pipeline", "workbench", "uvicorn.error")
"""Loggers that follow WORKBENCH_LOG_LEVEL; of others, warnings."""

log = logging.getLogger(__name__)


@contextmanager
def observed(settings: Settings, process: str) -> Iterator[None]:
    """Write log lines to standard error and send traces, as the settings say, while a long-lived process works."""
    _start_logging(settings, process)
    with _traced(settings, process), _last_words(settings):
        yield


@contextmanager
def observed_briefly(settings: Settings, process: str) -> Iterator[None]:
    """The same for a command that ends by itself: where lines are text, what it prints is for people already."""
    if settings.log_format == "json":
        _start_logging(settings, process)
    with _traced(settings, process), _last_words(settings):
        yield


@contextmanager
def _traced(settings: Settings, process: str) -> Iterator[None]:
    if settings.traces_endpoint is None:
        yield
        return
    from pipeline.core import tracing

    # It would warn of every try to reach a collector that is away.
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)
    with tracing.exporting(settings.traces_endpoint, process=process):
        yield


@contextmanager
def _last_words(settings: Settings) -> Iterator[None]:
    """What ends a process is said in its log too, where that is not what people read."""
    try:
        yield
    except WorkbenchError as error:
        if settings.log_format == "json":
            log.critical("%s", error, extra=error.about)
        raise


def _start_logging(settings: Settings, process: str) -> None:
    from pipeline.core import logs

    handler = logs.handler(settings.log_format, process=process, trace=_trace_ids(settings))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    for name in OURS:
        logging.getLogger(name).setLevel(settings.log_level.upper())
    if settings.log_format == "json":
        sys.excepthook = _log_defect
        threading.excepthook = _log_defect_of_thread


def _trace_ids(settings: Settings) -> Trace:
    if settings.traces_endpoint is None:
        return dict
    from pipeline.core import tracing

    return tracing.ids


def _log_defect(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    log.critical("ended by a defect: %s", kind.__name__, exc_info=(kind, error, trace))


def _log_defect_of_thread(of: threading.ExceptHookArgs) -> None:
    if of.exc_value is not None:
        log.critical("a thread ended by a defect", exc_info=(of.exc_type, of.exc_value, of.exc_traceback))
