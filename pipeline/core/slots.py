"""Slots: numbers by which the processes of one folder tell each other apart, and find themselves again.

A slot is a file that its process holds locked. The kernel releases it with the process, whatever
that dies of, so that the next one takes the same number.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import IO


@contextmanager
def claimed_slot(folder: Path, name: str) -> Iterator[int]:
    """The first number of `name` in this folder that no process holds, held for the block."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in count():
        file = _hold(folder / f"{name}-{number}.lock")
        if file is not None:
            with file:
                yield number
            return


def is_held(path: Path) -> bool:
    """Whether a process holds this slot's file."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _hold(path: Path) -> IO[bytes] | None:
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
