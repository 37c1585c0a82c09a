"""A process that is started again whenever it ends, unless it is meant to be down."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from broker.child import Child

GRACE_SECONDS = 40
LINES_SHOWN = 40


class Service:
    """A command with an environment of its own; it ends with this process, whatever this one dies of."""

    def __init__(self, name: str, words: Sequence[str], *, environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self.ended_by_itself = 0
        inherited = [f"--unset={name}" for name in os.environ if "WORKBENCH" in name or name == "DATABASE_URL"]
        settings = [f"{name}={value}" for name, value in environment.items()]
        self._command = ["env", *inherited, *settings, sys.executable, *words]
        self._child: Child | None = None
        self._wanted = False
        # Whoever kills, starts and looks after it are several.
        self._lock = threading.RLock()

    @property
    def running(self) -> bool:
        """Whether its process lives, even paused."""
        with self._lock:
            return self._child is not None and self._child.running

    def start(self) -> None:
        """Start it, unless it runs, and keep it running from now on."""
        with self._lock:
            self._wanted = True
            if not self.running:
                self._child = Child(self._command, log=self.log)

    def keep(self) -> None:
        """Start it again where it has ended by itself."""
        with self._lock:
            if self._wanted and not self.running:
                self.ended_by_itself += 1
                self.start()

    def kill(self) -> None:
        """kill -9; it stays down until it is started."""
        self._end(signal.SIGKILL)

    def end(self) -> None:
        """SIGTERM; it stays down."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """SIGSTOP."""
        with self._lock:
            assert self._child is not None
            self._child.send(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        with self._lock:
            assert self._child is not None
            self._child.send(signal.SIGCONT)

    def told(self, words: str) -> int:
        """How many lines of what it has said hold these words."""
        return sum(words in line for line in self.lines())

    def lines(self) -> list[str]:
        """What it has said."""
        return self.log.read_text(errors="replace").splitlines() if self.log.exists() else []

    def last_lines(self) -> str:
        """The end of what it has said."""
        return "\n".join(self.lines()[-LINES_SHOWN:])

    def _end(self, number: signal.Signals) -> None:
        with self._lock:
            self._wanted = False
            if self._child is not None:
                self._child.end(number, grace_seconds=GRACE_SECONDS)
