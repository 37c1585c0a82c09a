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
    number, held = hold_first(folder, name)
    with held:
        yield number


def hold_first(folder: Path, name: str) -> tuple[int, IO[bytes]]:
    """The first number that no process holds, and its file, which holds it until it is closed."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in count():
        if (held := hold(folder, name, number)) is not None:
            return number, held
    raise AssertionError("numbers do not end")


def hold(folder: Path, name: str, number: int) -> IO[bytes] | None:
    """The file of a slot, which holds it until it is closed; None where a process holds it."""
    file = (folder / f"{name}-{number}.lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def is_held(path: Path) -> bool:
    """Whether a process holds this slot's file."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
