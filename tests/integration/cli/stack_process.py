"""`workbench up` as a process of its own, started as a shell starts what runs in its background."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.command_line import CommandLine

WORKBENCH = (sys.executable, "-m", "workbench")
# SIGINT is ignored when the process starts, and the process must listen to it nevertheless.
DEAF_SHELL = ("sh", "-c", "trap '' INT; exec \"$@\"", "sh")
PATIENCE_SECONDS = 60


def eventually(condition: Callable[[], object], what: str) -> None:
    """Return when the condition holds; fail naming what was waited for."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE_SECONDS} s for {what}"
        time.sleep(0.05)


class StackProcess:
    """A stack on a home folder, with more settings perhaps; every process of it is known by its id."""

    def __init__(self, home: Path, **settings: str) -> None:
        self._home = home
        self._settings = settings
        self._environment = {name: value for name, value in os.environ.items() if "WORKBENCH" not in name}
        self._environment.pop("DATABASE_URL", None)
        self._environment |= {"WORKBENCH_HOME": str(home), **settings}
        self._process: subprocess.Popen[bytes] | None = None

    def ensure_started(self) -> None:
        """Start it unless it runs, and wait until it tells where it is."""
        if self._process is not None and self._process.poll() is None:
            return
        up = (*DEAF_SHELL, *WORKBENCH, "up", "--port", "0", "--no-notebooks")
        with (self._home / "up.log").open("ab") as log:
            self._process = subprocess.Popen(up, env=self._environment, stdout=log, stderr=log)
        eventually(lambda: self._state() or self._ended(), "the stack")
        assert not self._ended(), (self._home / "up.log").read_text()

    def refused_up(self, port: int) -> str:
        """What `up` says on this home when it does not start."""
        up = (*WORKBENCH, "up", "--port", str(port), "--no-notebooks")
        ended = subprocess.run(up, env=self._environment, capture_output=True, text=True, timeout=120)
        assert ended.returncode == 1, ended.stderr
        return ended.stderr

    @property
    def home(self) -> Path:
        """Where its data is."""
        return self._home

    @property
    def workbench(self) -> CommandLine:
        """Other commands on the same home, in this process."""
        return CommandLine({"WORKBENCH_HOME": str(self._home), "DATABASE_URL": None, **self._settings})

    @property
    def pid(self) -> int:
        """The supervisor."""
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        """Where the stack says it is."""
        return str(self._state()["url"])

    def child(self, command: str) -> int | None:
        """The child that runs this command now, by id."""
        for child in psutil.Process(self.pid).children():
            try:
                if command in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                    return child.pid
            except psutil.NoSuchProcess:
                continue
        return None

    def database(self) -> int | None:
        """The database server by id, as its pid file has it."""
        try:
            return int((self._home / "postgres" / "postmaster.pid").read_text().split("\n")[0])
        except FileNotFoundError:
            return None

    def processes(self) -> list[psutil.Process]:
        """Every process of the stack that runs now."""
        ids = [self.pid, self.child("serve"), self.child("schedule"), self.database()]
        return [psutil.Process(pid) for pid in ids if pid is not None]

    def is_ready(self) -> bool:
        """Whether the API takes events."""
        try:
            return httpx.get(f"{self.url}/readyz", timeout=10, trust_env=False).is_success
        except httpx.TransportError:
            return False

    def interrupt(self) -> int:
        """Ctrl-C; its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(PATIENCE_SECONDS)

    def kill(self) -> None:
        """kill -9 of the supervisor alone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(PATIENCE_SECONDS)

    def end(self) -> None:
        """End it for good, whatever a test has left."""
        if self._process is not None and self._process.poll() is None:
            self.interrupt()

    def _state(self) -> Any:
        """What this stack has published, not one that was killed."""
        try:
            state = json.loads((self._home / "stack.json").read_bytes())
        except FileNotFoundError:
            return None
        return state if state["pid"] == self.pid else None

    def _ended(self) -> bool:
        return self._process is None or self._process.poll() is not None


def have_ended(processes: list[psutil.Process]) -> bool:
    """Whether none of them runs any more."""
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)
