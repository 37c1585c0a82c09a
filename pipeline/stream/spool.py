"""The spool: records on this machine's disk that wait for the broker, in order, within a bound.

A spool is one SQLite file of one process. What was appended survives kill -9 and a lost power
supply; the file and its write-ahead log together stay within the bound. A process claims the first
file of the folder that nobody holds, by a lock that the kernel releases with the process, and so
takes up what a killed one left. What goes where, and when, is decided in `kafka.py`.

Everything here blocks. A spool may be used in any thread, in one at a time.
"""

from __future__ import annotations

import errno
import os
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, NamedTuple

from pipeline.core.clock import EPOCH, HOUR
from pipeline.core.errors import StreamUnavailable
from pipeline.core.slots import hold, hold_first
from pipeline.stream.port import Overloaded

PAGE_BYTES = 16_384
ROW_BYTES = 32
"""What a row takes beside its value and its tenant's id, at most."""
LARGEST_LOG_BYTES = 67_108_864
SMALLEST_BYTES = 64 * PAGE_BYTES
COMPACT_ABOVE_BYTES = 8_388_608
BUSY_MILLISECONDS = 100
LAYOUT = 1
SLOT = "spool"
NAME = re.compile(rf"{SLOT}-(\d+)\.sqlite")

SCHEMA = f"""
create table if not exists records (
    seq integer primary key, tenant_id text not null, route integer not null, hour integer not null, value blob not null
);
pragma user_version = {LAYOUT};
"""
APPEND = "insert into records (tenant_id, route, hour, value) values (?, ?, ?, ?)"
PEEK = "select seq, tenant_id, route, hour, value from records where seq > ? order by seq limit ?"
COUNT_LEFT = "select count(*) from records where seq > ? and seq <= ?"
REMOVE = "delete from records where seq <= ?"
COUNT = "select tenant_id, hour, count(*) from records group by tenant_id, hour"


class SpoolFull(Overloaded):
    """The spool has no room for these events, or the disk has none; none of them was taken."""


class SpoolUnusable(StreamUnavailable):
    """The spool cannot be read or written."""


class Row(NamedTuple):
    """A record to be spooled."""

    tenant_id: str
    route: int
    hour: int
    """Of receipt, since 1970."""
    value: bytes


class Spooled(NamedTuple):
    """A record in the spool."""

    seq: int
    tenant_id: str
    route: int
    hour: int
    value: bytes


def size_of(tenant_id: str, value: bytes) -> int:
    """About what a record takes of the spool, in bytes."""
    return ROW_BYTES + len(tenant_id) + len(value)


class Spool:
    """One file, held by this process until `close`; `most_bytes` below a mebibyte are a mebibyte.

    Raises SpoolUnusable where the file cannot be used; it is never set aside silently, since what is
    in it was acknowledged.
    """

    def __init__(self, folder: Path, *, most_bytes: int) -> None:
        number, held = hold_first(folder, SLOT)
        self._open(folder / f"{SLOT}-{number}.sqlite", held, most_bytes)

    def _open(self, path: Path, held: IO[bytes], most_bytes: int) -> None:
        self.path = path
        self._held = held
        self._events = 0
        self._bytes = 0
        self._file_bytes = 0
        self._past = 0
        self._most_bytes = max(most_bytes, SMALLEST_BYTES)
        self._log = path.with_name(f"{path.name}-wal")
        self._log_share = min(self._most_bytes // 4, LARGEST_LOG_BYTES)
        try:
            with self._translated():
                self._connect()
        except BaseException:
            held.close()
            raise

    @property
    def events(self) -> int:
        """Records in it."""
        return self._events

    @property
    def bytes(self) -> int:
        """Bytes of the file that records take, which count against the bound."""
        return self._bytes if self._events else 0

    @property
    def room(self) -> int:
        """Bytes that still fit, about."""
        return max(0, self._most_bytes - self._log_share - self._bytes)

    def append(self, rows: Sequence[Row]) -> None:
        """Keep the rows, on disk when this returns. Raises SpoolFull, then none was kept."""
        with self._translated():
            self._make_log_room(sum(size_of(row.tenant_id, row.value) for row in rows))
            with self._transaction():
                self._connection.executemany(APPEND, rows)
            self._events += len(rows)
            self._measure()

    def peek(self, limit_rows: int, limit_bytes: int) -> list[Spooled]:
        """The first records, at least one if there are any."""
        rows: list[Spooled] = []
        size = 0
        with self._translated(), closing(self._connection.execute(PEEK, (self._past, limit_rows))) as cursor:
            for fields in cursor:
                row = Spooled._make(fields)
                size += size_of(row.tenant_id, row.value)
                if rows and size > limit_bytes:
                    break
                rows.append(row)
        return rows

    def remove(self, through: int) -> None:
        """Forget the records up to and with this sequence number."""
        with self._translated():
            [(removed,)] = self._connection.execute(COUNT_LEFT, (self._past, through))
            try:
                with self._transaction():
                    self._connection.execute(REMOVE, (through,))
                self._past = 0
            except sqlite3.OperationalError as error:
                if not _is_full(error):
                    raise
                # On a full disk a removal has no room for its log. They are passed over, and come
                # back only if the process ends before the file has been emptied.
                self._past = through
            self._events -= removed
            self._measure()
            if self._events == 0:
                self._compact()

    def claim_orphan(self) -> Spool | None:
        """A spool of the same folder that holds records and no process; the caller drains and closes it.

        Raises SpoolUnusable where there is none, but one that cannot be used.
        """
        trouble: SpoolUnusable | None = None
        for path, number in _files(self.path.parent):
            if path == self.path or (held := hold(path.parent, SLOT, number)) is None:
                continue
            orphan = object.__new__(Spool)
            try:
                orphan._open(path, held, self._most_bytes)
            except SpoolUnusable as error:
                trouble = trouble or error
                continue
            if orphan.events:
                return orphan
            orphan.close()
        if trouble is not None:
            raise trouble
        return None

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
        self._held.close()

    def _connect(self) -> None:
        self._connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        self._prepare()
        self._past = 0
        [(self._events,)] = self._connection.execute("select count(*) from records")
        self._measure()

    def _prepare(self) -> None:
        execute = self._connection.execute
        execute(f"pragma page_size = {PAGE_BYTES}")
        [(mode,)] = execute("pragma journal_mode = wal")
        if mode != "wal":
            raise sqlite3.OperationalError(f"its file system allows no write-ahead log, but {mode}")
        execute("pragma synchronous = full")
        # There is no other writer; a reader that stays must not keep appends waiting.
        execute(f"pragma busy_timeout = {BUSY_MILLISECONDS}")
        execute(f"pragma wal_autocheckpoint = {max(1, self._log_share // 4 // PAGE_BYTES)}")
        execute(f"pragma journal_size_limit = {self._log_share // 4}")
        execute(f"pragma max_page_count = {(self._most_bytes - self._log_share) // PAGE_BYTES}")
        [(layout,)] = execute("pragma user_version")
        if layout not in (0, LAYOUT):
            raise sqlite3.DatabaseError(f"its layout is {layout}, this release knows {LAYOUT}")
        if layout == 0:
            self._connection.executescript(f"begin immediate; {SCHEMA} commit;")

    def _make_log_room(self, size: int) -> None:
        """See that the write-ahead log takes so many bytes more within its share."""
        # Pages are written as a whole, with a header, and interior pages beside them.
        needed = size + size // 8 + 4 * PAGE_BYTES
        if self._log_bytes() + needed <= self._log_share:
            return
        self._connection.execute("pragma wal_checkpoint(truncate)").fetchall()
        if self._log_bytes() + needed > self._log_share:
            raise SpoolFull(
                f"{size} bytes are more than {self.path} takes at once now; none of these events was taken."
            )

    def _log_bytes(self) -> int:
        try:
            return self._log.stat().st_size
        except FileNotFoundError:
            return 0

    def _measure(self) -> None:
        [(pages,)] = self._connection.execute("pragma page_count")
        [(free,)] = self._connection.execute("pragma freelist_count")
        self._bytes = (pages - free) * PAGE_BYTES
        self._file_bytes = pages * PAGE_BYTES

    def _compact(self) -> None:
        """Give the disk back what an outage took, by a new file, which takes no room to make."""
        if self._past or self._file_bytes > COMPACT_ABOVE_BYTES:
            self._connection.close()
            # In this order: SQLite sets a log without its file aside.
            self.path.unlink()
            self._log.unlink(missing_ok=True)
            # A reader may hold the index of the old log, which a new one must not meet.
            self.path.with_name(f"{self.path.name}-shm").unlink(missing_ok=True)
            self._connect()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("begin immediate")
        try:
            yield
            self._connection.execute("commit")
        except BaseException:
            # A full disk may have rolled it back already.
            if self._connection.in_transaction:
                self._connection.execute("rollback")
            raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if _is_full(error):
                raise SpoolFull(
                    f"{self.path} is full, or its disk is; none of these events was taken.",
                    remedy="Bring the broker back, or raise WORKBENCH_KAFKA_SPOOL_BYTES and free disk space.",
                ) from error
            raise _unusable(self.path, error) from error


def count_spooled(folder: Path) -> Counter[tuple[str, datetime]]:
    """Records in all spools of a folder, by tenant and hour of receipt; their processes may be at work.

    Raises SpoolUnusable for a file that cannot be read.
    """
    counted: Counter[tuple[str, datetime]] = Counter()
    for path, _ in _files(folder):
        try:
            with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
                [(layout,)] = connection.execute("pragma user_version")
                # A process that just begins has not laid it out.
                rows = connection.execute(COUNT).fetchall() if layout else []
        except sqlite3.Error as error:
            raise _unusable(path, error) from error
        for tenant_id, hour, events in rows:
            counted[tenant_id, EPOCH + hour * HOUR] += events
    return counted


def _files(folder: Path) -> list[tuple[Path, int]]:
    """The spools of a folder and their numbers, in order."""
    if not folder.is_dir():
        return []
    found = [(path, int(match[1])) for path in folder.iterdir() if (match := NAME.fullmatch(path.name))]
    return sorted(found, key=lambda each: each[1])


def _is_full(error: sqlite3.Error | OSError) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL


def _unusable(path: Path, error: Exception) -> SpoolUnusable:
    reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
    return SpoolUnusable(
        f"The spool {path} cannot be used: {reason}. Its events were acknowledged and are not in the stream.",
        remedy=(
            "Give this user the file if it is another's. If it is damaged, keep it, move it away with its -wal file, "
            f"and rescue what is in it: sqlite3 {path.name} .recover"
        ),
    )
