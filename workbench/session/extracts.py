"""Extracts: whole tables as Parquet files, made once per state of a tenant's data, for all processes of this user.

A file's name tells nothing and hangs on the tenant's login, which no other tenant ever has, not even a
later one of the same id. A file counts once its size and checksum are noted beside it: whatever a killed
process leaves behind, or a disk spoils, is made anew. The least recently used files go when all together
are too large, but none that somebody holds.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from workbench.session.errors import SourceError
from workbench.session.file_lock import FileLock
from workbench.session.reading import Reading

PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600
MOST_BYTES = 10 * 1024**3
LOOK_SECONDS = 0.05
BLOCK_BYTES = 1024 * 1024

EXTRACT, UNFINISHED, USING, MAKING = ".parquet", ".part", ".using", ".making"

Write = Callable[[Iterable[pa.RecordBatch]], None]
Fill = Callable[[Write], bool]
"""Writes a table's batches, at least one; False where what was asked for is outdated, and nothing is written."""


class Extract(msgspec.Struct, frozen=True):
    """A file that stays for as long as it is held."""

    path: Path
    use: FileLock

    def release(self) -> None:
        """Let it go when space is needed."""
        self.use.close()


class ExtractCache:
    """A folder of extracts. Safe among threads and processes."""

    def __init__(self, folder: Path, *, most_bytes: int = MOST_BYTES) -> None:
        self._folder = folder
        self._most_bytes = most_bytes

    def get(self, owner: str, key: Sequence[object], fill: Fill, reading: Reading) -> Extract | None:
        """The owner's extract of this key, which `fill` makes if it is not there; None if `fill` finds it outdated.

        Whoever is making the same one is waited for. Raises what `fill` raises, StatementCancelled, or
        SourceError where the folder cannot be used.
        """
        try:
            path = self._path(owner, key)
            use = _taken(FileLock.shared, path.with_suffix(USING), reading)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            if not _is_whole(path) and not self._make(path, fill, reading):
                use.close()
                return None
            os.utime(path)
        except BaseException as error:
            use.close()
            if isinstance(error, OSError):
                raise self._unusable(error) from error
            raise
        return Extract(path, use)

    def _make(self, path: Path, fill: Fill, reading: Reading) -> bool:
        with closing(_taken(FileLock.alone, path.with_suffix(MAKING), reading)) as making:
            if _is_whole(path):
                return True
            making.write("")
            unfinished = path.with_suffix(UNFINISHED)
            try:
                if not fill(lambda batches: _write(unfinished, batches)):
                    return False
                note = _note(unfinished)
                unfinished.replace(path)
                making.write(note)
            finally:
                unfinished.unlink(missing_ok=True)
        self._make_room()
        return True

    def _make_room(self) -> None:
        """Remove the least recently used extracts that nobody holds until the rest is small enough."""
        found = sorted(self._weighed(), key=lambda each: each[1])
        surplus = sum(size for _, _, size in found) - self._most_bytes
        for path, _, size in found:
            if surplus <= 0:
                return
            use = FileLock.alone(path.with_suffix(USING))
            if use is None:
                continue
            with closing(use):
                for kind in (EXTRACT, UNFINISHED, MAKING, USING):
                    path.with_suffix(kind).unlink(missing_ok=True)
            surplus -= size

    def _weighed(self) -> Iterator[tuple[Path, float, int]]:
        """Each extract, finished or not: its path, when it was last used, and its bytes."""
        weights: defaultdict[Path, list[os.stat_result]] = defaultdict(list)
        for file in self._folder.glob("*/*"):
            try:
                weights[file.with_suffix(EXTRACT)].append(file.stat())
            except FileNotFoundError:
                # Another process is making room too.
                continue
        for path, stats in weights.items():
            yield path, max(each.st_mtime for each in stats), sum(each.st_size for each in stats)

    def _path(self, owner: str, key: Sequence[object]) -> Path:
        folder = self._folder / _opaque(owner)
        for each in (self._folder, folder):
            each.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
            found = each.stat()
            if found.st_uid != os.geteuid() or found.st_mode & 0o077:
                raise SourceError(
                    f"{each}, where extracts go, is not this user's alone.", remedy="Remove it, or give another folder."
                )
        return folder / f"{_opaque(owner, *key)}{EXTRACT}"

    def _unusable(self, error: OSError) -> SourceError:
        return SourceError(
            f"The folder of extracts, {self._folder}, cannot be used: {error.strerror or error}.",
            remedy="Free disk space, or give another folder.",
        )


def _taken(take: Callable[[Path], FileLock | None], path: Path, reading: Reading) -> FileLock:
    """The lock, once it is free. Raises StatementCancelled."""
    while (lock := take(path)) is None:
        reading.pause(LOOK_SECONDS)
    return lock


def _write(path: Path, batches: Iterable[pa.RecordBatch]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE_FILE)
    with os.fdopen(descriptor, "wb") as file:
        coming = iter(batches)
        first = next(coming)
        with pq.ParquetWriter(file, first.schema, compression="zstd", compression_level=1) as writer:
            writer.write_batch(first)
            for batch in coming:
                writer.write_batch(batch)


def _is_whole(path: Path) -> bool:
    try:
        return path.with_suffix(MAKING).read_text() == _note(path)
    except FileNotFoundError:
        return False


def _note(path: Path) -> str:
    """Size and checksum of a file: a guard against accidents; malice would need this user's own rights."""
    checksum = size = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            checksum = zlib.crc32(block, checksum)
            size += len(block)
    return f"{size} {checksum:08x}\n"


def _opaque(*parts: object) -> str:
    return hashlib.sha256(repr([str(part) for part in parts]).encode()).hexdigest()[:32]
