"""What is seen from outside while something is published: by readers in a loop, and in the server's table of locks.

Each watcher is a thread with a connection of its own, a context manager that ends it.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import Self

import psycopg

from conformance.port import Reading, Relation
from pipeline.core.database import Database

Connect = Callable[[], AbstractContextManager[psycopg.Connection]]

BETWEEN_READS_SECONDS = 0.005
BETWEEN_LOOKS_SECONDS = 0.01
END_SECONDS = 90.0

TOTALS = "select (select count(*) from {facts}), (select sum(events)::bigint from {metrics})"
FACTS = "select count(*) from {facts}"
METRICS = "select sum(events)::bigint from {metrics}"

# Of clients: vacuum locks a table when nobody else does.
LOCKS = """
select l.mode, l.granted, l.pid, n.nspname || '.' || c.relname
from pg_locks as l
inner join pg_class as c on c.oid = l.relation
inner join pg_namespace as n on n.oid = c.relnamespace
inner join pg_stat_activity as a on a.pid = l.pid
where
    l.database = (select oid from pg_database where datname = current_database())
    and n.nspname || '.' || c.relname = any(%s) and a.backend_type = 'client backend'
    and (l.mode = 'AccessExclusiveLock' or not l.granted)
"""


class Watcher(ABC):
    """Calls `look` in a loop until the block ends; what it raises fails the block."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._failure: BaseException | None = None

    @abstractmethod
    def watch(self) -> None:
        """The thread's work, until `stopped`."""

    def stopped(self, seconds: float = 0) -> bool:
        """Whether to end, after waiting for so long."""
        return self._stop.wait(seconds)

    def _run(self) -> None:
        try:
            self.watch()
        except BaseException as failure:  # noqa: BLE001 - told to the block that waits
            self._failure = failure

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(END_SECONDS)
        if self._failure is not None and error is None:
            raise self._failure


class Totals(Watcher):
    """A reader who compares the number of facts with the sum of metrics.

    In one statement, or in two of a REPEATABLE READ transaction.
    """

    def __init__(self, connect: Connect, reading: Reading, *, repeatable: bool) -> None:
        super().__init__()
        self._connect = connect
        names = {"facts": reading.facts, "metrics": reading.metrics}
        self._together, self._facts, self._metrics = (
            query.format(**names).encode() for query in (TOTALS, FACTS, METRICS)
        )
        self._repeatable = repeatable
        self.reads = self.violations = self.empty = self.errors = 0
        self.example = ""
        self.longest = 0.0

    def watch(self) -> None:
        """Read until the end, again after an error."""
        while not self.stopped():
            with suppress(psycopg.OperationalError), self._connect() as connection:
                self._read_on(connection)

    def _read_on(self, connection: psycopg.Connection) -> None:
        if self._repeatable:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        while not self.stopped(BETWEEN_READS_SECONDS):
            began = time.perf_counter()
            try:
                facts, metrics = self._read(connection)
            except psycopg.Error as error:
                self.errors += 1
                self.example = str(error).splitlines()[0]
                return
            self.longest = max(self.longest, time.perf_counter() - began)
            self._judge(facts, metrics)

    def _read(self, connection: psycopg.Connection) -> tuple[int, int]:
        if not self._repeatable:
            facts, metrics = connection.execute(self._together).fetchall()[0]
            return facts, metrics or 0
        with connection.transaction():
            facts = connection.execute(self._facts).fetchall()[0][0]
            # A report thinks between two questions.
            self.stopped(BETWEEN_READS_SECONDS)
            metrics = connection.execute(self._metrics).fetchall()[0][0]
        return facts, metrics or 0

    def _judge(self, facts: int, metrics: int) -> None:
        self.reads += 1
        if not facts or not metrics:
            self.empty += 1
        if facts != metrics:
            self.violations += 1
            self.example = f"{facts:,} facts, {metrics:,} in the metrics"


class Locks(Watcher):
    """Looks for locks that keep readers out of some relations, and for who waits for one."""

    def __init__(self, database: Database, relations: Iterable[Relation]) -> None:
        super().__init__()
        self._database = database
        self._names = [str(relation) for relation in relations]
        self.looks = 0
        self.exclusive: set[str] = set()
        """Relations on which an ACCESS EXCLUSIVE lock was held or asked for."""
        self.publisher_waited = self.readers_waited = 0.0
        """For how many seconds somebody waited for a lock: one above that of readers, or a reader's."""

    def watch(self) -> None:
        """Look until the end."""
        with self._database.connect_admin(autocommit=True) as admin:
            before = time.perf_counter()
            while not self.stopped(BETWEEN_LOOKS_SECONDS):
                rows = admin.execute(LOCKS, (self._names,)).fetchall()
                now = time.perf_counter()
                self.looks += 1
                self.exclusive |= {name for mode, _, _, name in rows if mode == "AccessExclusiveLock"}
                waiting = {mode == "AccessShareLock" for mode, granted, _, _ in rows if not granted}
                self.readers_waited += (now - before) if True in waiting else 0
                self.publisher_waited += (now - before) if False in waiting else 0
                before = now


class OpenReader(Watcher):
    """A transaction that has read all tables, and stays open until the block ends or somebody `had_enough`."""

    def __init__(self, connect: Connect, reading: Reading, had_enough: Callable[[], bool]) -> None:
        super().__init__()
        self._connect = connect
        self._reading = reading
        self._had_enough = had_enough
        self._open = threading.Event()

    def watch(self) -> None:
        """Read once, then do nothing."""
        with self._connect() as connection, connection.transaction():
            for table in self._reading.tables:
                connection.execute(f"select count(*) from {table}".encode())  # noqa: S608 - names of the subject
            self._open.set()
            while not self.stopped(BETWEEN_LOOKS_SECONDS) and not self._had_enough():
                pass

    def __enter__(self) -> Self:
        super().__enter__()
        if not self._open.wait(END_SECONDS):
            raise TimeoutError("the reader could not read")
        return self
