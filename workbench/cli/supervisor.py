"""Keeping child processes running: started again when they end by themselves, ended together.

honcho ends everything when one process ends, and circus brings a message broker's client and
control sockets; neither ends its children when it is killed itself. What is needed here is less: a
thread per child that starts it, passes its lines on, and waits. A child gets a pipe as standard
input, which ends with this process whatever it dies of, and which it is expected to watch.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from pipeline.core.errors import StackError

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 15.0
STEADY_SECONDS = 15.0
"""A child that ran as long starts with the shortest delay again."""
GRACE_SECONDS = 8.0
REMEMBERED_LINES = 15

Tell = Callable[[str, str], None]
"""Is told the name of a child and a line of its output."""

log = logging.getLogger(__name__)


class Supervisor:
    """Runs commands by name, as children in process groups of their own, while its block runs."""

    def __init__(self, commands: Mapping[str, Sequence[str]], *, tell: Tell) -> None:
        self._children = [_Child(name, command, tell) for name, command in commands.items()]

    def pids(self) -> dict[str, int]:
        """The children that run now."""
        return {child.name: child.process.pid for child in self._children if child.runs() and child.process}

    def require_steady(self) -> None:
        """Raise StackError, with its last lines, if a child has ended by itself already."""
        for child in self._children:
            if child.ends:
                lines = "\n".join(child.last_lines)
                raise StackError(f"The process {child.name} ended while it started:\n{lines}")

    def __enter__(self) -> Self:
        for child in self._children:
            child.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self._children:
            child.ask_to_end()
        deadline = time.monotonic() + GRACE_SECONDS
        for child in self._children:
            child.end_by(deadline)


class _Child:
    """A process that is started again whenever it ends by itself."""

    def __init__(self, name: str, command: Sequence[str], tell: Tell) -> None:
        self.name = name
        self.process: subprocess.Popen[str] | None = None
        self.ends = 0
        self.last_lines: deque[str] = deque(maxlen=REMEMBERED_LINES)
        self._command = command
        self._tell = tell
        self._ending = threading.Event()
        self._starting = threading.Lock()
        self._thread = threading.Thread(target=self._keep_running, name=f"supervise {name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def ask_to_end(self) -> None:
        """Send SIGTERM, and start it no more."""
        with self._starting:
            self._ending.set()
            if self.process is not None and self.process.poll() is None:
                self.process.terminate()

    def end_by(self, deadline: float) -> None:
        """Wait for it to end; at the deadline, kill its whole group."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self.process is not None and self.process.poll() is None:
            self._say("does not end, is killed")
            os.killpg(self.process.pid, signal.SIGKILL)
        self._thread.join()

    def _keep_running(self) -> None:
        delay = FIRST_DELAY_SECONDS
        while True:
            started = time.monotonic()
            end = self._run()
            if self._ending.is_set():
                return
            self.ends += 1
            if time.monotonic() - started >= STEADY_SECONDS:
                delay = FIRST_DELAY_SECONDS
            self._say(f"{end}, starts again in {delay:g} s")
            self._ending.wait(delay)
            delay = min(delay * 2, LONGEST_DELAY_SECONDS)

    def _run(self) -> str:
        """Run it once, unless it is to end; how it ended."""
        try:
            process = self._spawn()
        except OSError as error:
            return f"cannot start ({error.strerror})"
        return "" if process is None else f"ended with {_reason(self._follow(process))}"

    def _spawn(self) -> subprocess.Popen[str] | None:
        with self._starting:
            if self._ending.is_set():
                return None
            # A group of its own, so that a terminal's Ctrl-C reaches the supervisor alone.
            self.process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                process_group=0,
            )
            return self.process

    def _follow(self, process: subprocess.Popen[str]) -> int:
        """Pass its lines on until it ends; its exit code."""
        reader = threading.Thread(target=self._read, args=(process,), name=f"read {self.name}", daemon=True)
        reader.start()
        code = process.wait()
        # What it started itself may hold the pipe open for longer.
        reader.join(1)
        if process.stdin is not None:
            process.stdin.close()
        return code

    def _read(self, process: subprocess.Popen[str]) -> None:
        if process.stdout is not None:
            for line in process.stdout:
                self._say(line.rstrip("\n"))

    def _say(self, line: str) -> None:
        self.last_lines.append(line)
        self._tell(self.name, line)


def _reason(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
