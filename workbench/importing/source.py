"""Where the lines come from: a file or standard input, plain or gzip, whatever it is called."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from pipeline.core.errors import WorkbenchError

GZIP = b"\x1f\x8b"
STANDARD_INPUT = Path("-")
LONGEST_LINE = 10_000_000
"""Bytes; the API takes far less. What has longer lines is no NDJSON, but perhaps one JSON array."""
BUFFER_BYTES = 1_000_000


class SourceError(WorkbenchError):
    """The export cannot be read, or not to its end."""


class Source:
    """The lines of an opened export, and how far they were read."""

    def __init__(self, stored: io.BufferedReader, total: int | None) -> None:
        self._stored = _Counted(stored)
        self.total = total
        """Bytes as stored; None where nobody knows."""

    def position(self) -> int:
        """Bytes as stored that were read up to now."""
        return self._stored.position

    def __iter__(self) -> Iterator[bytes]:
        """Each line with its end. Raises SourceError naming the line beyond which nothing can be read."""
        number = 0
        try:
            text = self._text()
            while line := text.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    raise SourceError(
                        f"Line {number} is longer than {LONGEST_LINE:,} bytes.",
                        remedy="The export must be NDJSON: one JSON object a line.",
                    )
                yield line
        except (EOFError, zlib.error, OSError) as error:
            raise SourceError(f"The export cannot be read beyond line {number}: {error}.") from error

    def _text(self) -> io.BufferedIOBase:
        stored = io.BufferedReader(self._stored, BUFFER_BYTES)
        if not stored.peek(len(GZIP)).startswith(GZIP):
            return stored
        # No second buffer around it: filling one would lose what comes before a break in the file.
        return gzip.GzipFile(fileobj=stored)


class _Counted(io.RawIOBase):
    """Counts what is read: standard input has no position to ask for."""

    def __init__(self, stored: io.BufferedReader) -> None:
        self._stored = stored
        self.position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = self._stored.readinto1(buffer)
        self.position += count
        return count


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """The export at a path, or standard input for `-`. Raises SourceError if it cannot be opened."""
    if path == STANDARD_INPUT:
        yield Source(cast(io.BufferedReader, sys.stdin.buffer), None)
        return
    try:
        stored = path.open("rb")
    except OSError as error:
        raise SourceError(f"{path} cannot be opened: {error.strerror}.") from error
    with stored:
        yield Source(stored, path.stat().st_size)
