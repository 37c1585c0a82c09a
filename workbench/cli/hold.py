"""Holding a home folder as its running stack: the lock, and the file that tells where the stack is.

The lock is the kernel's, so it ends with the process that holds it, whatever that dies of; a file
that it left is overwritten by the next stack. Reading the file is in `running.py`.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from pipeline.core.errors import StackRunning
from workbench.cli.running import LOCK_FILE, STATE_FILE, RunningStack

TRIES = 10
SECONDS_BETWEEN_TRIES = 0.02
"""Other commands hold the lock for an instant, shared, when they look whether a stack runs."""


class Hold:
    """The right to be the stack of a home folder."""

    def __init__(self, home: Path) -> None:
        self._state = home / STATE_FILE

    def publish(self, stack: RunningStack) -> None:
        """Tell other commands where the stack is, from now on."""
        draft = self._state.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(stack))
        draft.replace(self._state)


@contextmanager
def hold_stack(home: Path) -> Iterator[Hold]:
    """Be the one stack of this folder. Raises StackRunning, with pid and address, if there is one."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / LOCK_FILE).open("a+") as lock:
        if not _try_lock(lock):
            raise _running(home, lock)
        state = home / STATE_FILE
        state.unlink(missing_ok=True)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        try:
            yield Hold(home)
        finally:
            state.unlink(missing_ok=True)


def _try_lock(lock: IO[str]) -> bool:
    for _ in range(TRIES):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(SECONDS_BETWEEN_TRIES)
        else:
            return True
    return False


def _running(home: Path, lock: IO[str]) -> StackRunning:
    lock.seek(0)
    pid = lock.read().strip() or "unknown"
    try:
        stack = msgspec.json.decode((home / STATE_FILE).read_bytes(), type=RunningStack)
        where = f"at {stack.url}"
    except (FileNotFoundError, msgspec.DecodeError):
        where = "and is just starting"
    return StackRunning(
        f"A stack runs on {home.resolve()} already: process {pid}, {where}.",
        remedy=f"Use it; or end it first, with Ctrl-C in its terminal or `kill {pid}`.",
    )
