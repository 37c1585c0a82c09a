"""Whether the embedded stack runs on a home folder, and where; it neither starts nor stops it."""

from __future__ import annotations

import fcntl
from datetime import datetime
from pathlib import Path

import msgspec

LOCK_FILE = "stack.lock"
STATE_FILE = "stack.json"


class RunningStack(msgspec.Struct, frozen=True, kw_only=True):
    """What `workbench up` writes into its state file."""

    pid: int
    url: str
    started_at: datetime
    notebooks_url: str | None = None
    """Where people sign in to the notebooks; None where they are not served."""


def find_stack(home: Path) -> RunningStack | None:
    """The stack that runs on this folder, or None: the file counts only while its writer holds the lock."""
    try:
        with (home / LOCK_FILE).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return _read(home / STATE_FILE)
    return None


def _read(path: Path) -> RunningStack | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=RunningStack)
    except (FileNotFoundError, msgspec.DecodeError):
        return None  # It has just started, or is about to end.
