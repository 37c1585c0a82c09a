"""Processes of the workbench, as an operator starts them, and the lines that they log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.integration.cli.stack_process import PATIENCE_SECONDS, eventually

WORKBENCH = (sys.executable, "-m", "workbench")

Line = dict[str, Any]


class Process:
    """A process that logs JSON."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log

    def lines(self) -> list[Line]:
        """What it has logged; a line that is no JSON fails the test."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def until_it_says(self, what: str) -> Line:
        """The first line whose message has this in it."""
        found: list[Line] = []

        def said() -> bool:
            assert self._process.poll() is None, self._log.read_text()
            # The last line may be half written.
            whole = self._log.read_text().rpartition("\n")[0].splitlines()
            found[:] = [line for each in whole if what in (line := json.loads(each))["message"]]
            return bool(found)

        eventually(said, what)
        return found[0]

    def end(self) -> None:
        """Tell it to end, and wait until it has."""
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(PATIENCE_SECONDS) == 0, self._log.read_text()


@contextmanager
def running(environment: Mapping[str, str | None], log: Path, *words: str) -> Iterator[Process]:
    """`workbench` with these words, until it ends or the block does."""
    with log.open("wb") as file:
        process = subprocess.Popen((*WORKBENCH, *words), env=variables(environment), stdout=file, stderr=file)
    try:
        yield Process(process, log)
    finally:
        process.kill()
        process.wait()


def variables(environment: Mapping[str, str | None]) -> dict[str, str]:
    """An environment with these settings and no others."""
    cleared = {name: value for name, value in os.environ.items() if not name.startswith(("WORKBENCH_", "OTEL_"))}
    return cleared | {name: value for name, value in environment.items() if value is not None}
