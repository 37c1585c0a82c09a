"""A lock that threads and processes share, on a file: many may hold it to use what it guards, one to change that.

A process that ends, by whatever means, lets go of its locks.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Self

PRIVATE = 0o600
MOST_NOTE_BYTES = 4096


class FileLock:
    """One holder's hold on a lock file, whose content is a note for all of them. Close it to let go."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def shared(cls, path: Path) -> Self | None:
        """Hold it with others; None while somebody holds it alone."""
        return cls._taken(path, fcntl.LOCK_SH)

    @classmethod
    def alone(cls, path: Path) -> Self | None:
        """Hold it alone; None while anybody else holds it."""
        return cls._taken(path, fcntl.LOCK_EX)

    @classmethod
    def _taken(cls, path: Path, kind: int) -> Self | None:
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return None
            if _is_at(descriptor, path):
                return cls(descriptor)
            # Its file was removed between the opening and the locking.
            os.close(descriptor)

    @property
    def note(self) -> str:
        """What whoever held it alone has written last."""
        return os.pread(self._descriptor, MOST_NOTE_BYTES, 0).decode(errors="replace")

    def write(self, note: str) -> None:
        """Replace the note; only who holds it alone may."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, note.encode(), 0)

    def close(self) -> None:
        """Let go of it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))  # noqa: PTH116 - beside fstat
    except FileNotFoundError:
        return False
