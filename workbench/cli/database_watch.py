"""Watching the embedded database, which is no child of the stack: it is started again when it is gone."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.core.embedded import EmbeddedPostgres
from pipeline.core.errors import StackError
from workbench.cli.supervisor import FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS, Tell

LOOK_EVERY_SECONDS = 0.5
NAME = "database"


class DatabaseWatch:
    """Looks after the server of a home folder while its block runs; something else has started it."""

    def __init__(self, home: Path, *, tell: Tell) -> None:
        self._home = home
        self._tell = tell
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watch database", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()

    def _watch(self) -> None:
        server = EmbeddedPostgres(self._home)
        delay = FIRST_DELAY_SECONDS
        while not self._ending.wait(LOOK_EVERY_SECONDS):
            if server.process() is not None:
                delay = FIRST_DELAY_SECONDS
                continue
            self._tell(NAME, "ended by itself, starts again")
            try:
                # A user of its own, for an instant: it starts the server under the lock that keeps
                # two starters apart, and the stack's own hold keeps the server from being stopped.
                with EmbeddedPostgres(self._home):
                    self._tell(NAME, "runs again, nothing committed is lost")
            except StackError as error:
                self._tell(NAME, f"{error} The next try is in {delay:g} s.")
                self._ending.wait(delay)
                delay = min(delay * 2, LONGEST_DELAY_SECONDS)
