"""Children are kept running, and none outlives the supervisor's block."""

from __future__ import annotations

import os
import signal
import sys
from queue import Queue

import psutil
import pytest

from pipeline.core.errors import StackError
from workbench.cli import supervisor as module
from workbench.cli.supervisor import Supervisor

SECONDS = 20
OBEDIENT = "import sys; print('ready', flush=True); sys.stdin.read()"
STUBBORN = (
    "import signal, subprocess, sys, threading; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "grandchild = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
    "print(grandchild.pid, flush=True); threading.Event().wait()"
)


class Lines:
    """The lines that the supervisor tells of."""

    def __init__(self) -> None:
        self._lines: Queue[str] = Queue()

    def __call__(self, name: str, line: str) -> None:
        assert name == "child"
        self._lines.put(line)

    def next(self) -> str:
        return self._lines.get(timeout=SECONDS)


def command(code: str) -> dict[str, tuple[str, ...]]:
    return {"child": (sys.executable, "-c", code)}


def test_a_child_that_is_killed_is_started_again() -> None:
    lines = Lines()
    with Supervisor(command(OBEDIENT), tell=lines) as supervisor:
        assert lines.next() == "ready"
        supervisor.require_steady()
        first = supervisor.pids()["child"]
        os.kill(first, signal.SIGKILL)
        assert lines.next() == "ended with signal SIGKILL, starts again in 0.5 s"
        assert lines.next() == "ready"
        second = supervisor.pids()["child"]
    assert second != first
    assert not psutil.pid_exists(second)


def test_one_that_ends_again_and_again_is_started_ever_more_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_DELAY_SECONDS", 0.01)
    lines = Lines()
    with Supervisor(command("raise SystemExit('no luck')"), tell=lines) as supervisor:
        told = [lines.next() for _ in range(6)]
        with pytest.raises(StackError, match="no luck"):
            supervisor.require_steady()
    assert told == [
        said for delay in ("0.01", "0.02", "0.04")
        for said in ("no luck", f"ended with exit code 1, starts again in {delay} s")
    ]  # fmt: skip


def test_a_command_that_does_not_exist_is_told_and_tried_again() -> None:
    lines = Lines()
    with Supervisor({"child": ("/nowhere/at-all",)}, tell=lines):
        assert lines.next() == "cannot start (No such file or directory), starts again in 0.5 s"


def test_one_that_ignores_the_request_to_end_is_killed_with_what_it_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.2)
    lines = Lines()
    with Supervisor(command(STUBBORN), tell=lines) as supervisor:
        grandchild = psutil.Process(int(lines.next()))
        child = psutil.Process(supervisor.pids()["child"])
    assert not child.is_running()
    psutil.wait_procs([grandchild], timeout=SECONDS)
    assert not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE


def test_a_terminals_interrupt_does_not_reach_the_children() -> None:
    lines = Lines()
    with Supervisor(command(OBEDIENT), tell=lines) as supervisor:
        lines.next()
        assert os.getpgid(supervisor.pids()["child"]) != os.getpgid(0)
