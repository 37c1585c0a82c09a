"""A process's connections: few in all, few per login, reused while warm, closed when idle, replaced when dead.

Every lease is a transaction of its own: its beginning is what shows that a connection is alive.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import msgspec

from pipeline.core.database import without_password
from workbench.session.connection import Connection
from workbench.session.errors import TooManyConnections
from workbench.session.failures import DRIVER_ERRORS, unreachable

LOOK_SECONDS = 0.25
"""How often a login whose connections others hold is tried again."""


class PoolLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a process may open. The server itself allows each tenant's login ten connections."""

    total: int = 40
    per_login: int = 4
    wait_seconds: float = 10
    """How long a statement waits for a connection."""
    idle_seconds: float = 60
    """After which an unused connection is closed."""


class _Idle(msgspec.Struct, frozen=True):
    connection: Connection
    since: float


class Pool:
    """Connections by login address. Thread-safe."""

    def __init__(self, limits: PoolLimits = PoolLimits()) -> None:  # noqa: B008 - a frozen value
        self._limits = limits
        self._changed = threading.Condition()
        self._idle: defaultdict[str, list[_Idle]] = defaultdict(list)
        self._busy: Counter[str] = Counter()
        self._closer: threading.Thread | None = None
        self._closed = False

    @contextmanager
    def transaction(self, url: str, *, timeout_seconds: float) -> Iterator[Connection]:
        """A connection in a read-only transaction of one snapshot, which is rolled back in the end.

        Raises TooManyConnections if none comes free in time, ConnectionLost if there is no server.
        """
        connection = self._begun(url, timeout_seconds)
        try:
            yield connection
        finally:
            if connection.fit:
                connection.roll_back()
            self._give_back(url, connection)

    def open_connections(self) -> dict[str, int]:
        """How many each login has, by address without password; for metrics and tests."""
        with self._changed:
            counted = Counter({url: len(idle) for url, idle in self._idle.items()}) + self._busy
        return {without_password(url): count for url, count in counted.items()}

    def close_idle(self, url: str | None = None) -> None:
        """Close what is not at work, of one login or of all."""
        with self._changed:
            given = [self._idle.pop(key) for key in list(self._idle) if url in (None, key)]
            self._changed.notify_all()
        for each in given:
            for idle in each:
                idle.connection.close()

    def close(self) -> None:
        """Close what is idle now, and the rest when it comes back."""
        with self._changed:
            self._closed = True
        self.close_idle()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begun(self, url: str, timeout_seconds: float) -> Connection:
        """A connection that has just proved to be alive; a dead one makes room for a new one."""
        deadline = time.monotonic() + self._limits.wait_seconds
        while True:
            connection = self._take(url, deadline)
            fresh = connection is None
            try:
                connection = connection or self._open(url, deadline)
                connection.begin(timeout_seconds)
            except DRIVER_ERRORS as error:
                self._drop(url, connection)
                if fresh:
                    raise unreachable(error, url) from error
                # A server that restarts takes all connections with it.
                self.close_idle(url)
            except BaseException:
                self._drop(url, connection)
                raise
            else:
                return connection

    def _take(self, url: str, deadline: float) -> Connection | None:
        """An idle connection, or None: the right to open one."""
        with self._changed:
            while not self._may_take(url):
                if not self._changed.wait(deadline - time.monotonic()):
                    raise self._all_at_work(url)
            self._busy[url] += 1
            if self._idle.get(url):
                return self._idle[url].pop().connection
            surplus = self._oldest_idle() if self._count() > self._limits.total else None
        if surplus is not None:
            surplus.close()
        return None

    def _all_at_work(self, url: str) -> TooManyConnections:
        limits = self._limits
        which = f"{limits.per_login} connections of this tenant"
        if self._busy[url] < limits.per_login:
            which = f"{limits.total} connections for all tenants"
        return TooManyConnections(
            f"All {which} were at work for {limits.wait_seconds:g} seconds.",
            remedy="Wait for what is running, or cancel it.",
        )

    def _may_take(self, url: str) -> bool:
        if self._busy[url] >= self._limits.per_login:
            return False
        return self._busy.total() < self._limits.total

    def _open(self, url: str, deadline: float) -> Connection:
        """A new connection; waits where others hold all that the server allows the login."""
        while True:
            try:
                return Connection(url)
            except DRIVER_ERRORS as error:
                why = unreachable(error, url)
                if not isinstance(why, TooManyConnections) or time.monotonic() >= deadline:
                    raise why from error
            with self._changed:
                self._changed.wait(LOOK_SECONDS)

    def _give_back(self, url: str, connection: Connection) -> None:
        with self._changed:
            self._busy[url] -= 1
            keep = connection.fit and not self._closed
            if keep:
                self._idle[url].append(_Idle(connection, time.monotonic()))
                self._ensure_closer()
            self._changed.notify_all()
        if not keep:
            connection.close()

    def _drop(self, url: str, connection: Connection | None) -> None:
        if connection is not None:
            connection.close()
        with self._changed:
            self._busy[url] -= 1
            self._changed.notify_all()

    def _count(self) -> int:
        return self._busy.total() + sum(map(len, self._idle.values()))

    def _oldest_idle(self) -> Connection | None:
        idle = [(each[0].since, url) for url, each in self._idle.items() if each]
        return self._idle[min(idle)[1]].pop(0).connection if idle else None

    def _ensure_closer(self) -> None:
        if self._closer is None:
            self._closer = threading.Thread(target=self._close_in_time, name="session-pool", daemon=True)
            self._closer.start()

    def _close_in_time(self) -> None:
        """Close what is idle for too long, until nothing is."""
        while True:
            with self._changed:
                since = [each[0].since for each in self._idle.values() if each]
                if not since:
                    self._closer = None
                    return
                left = min(since) + self._limits.idle_seconds - time.monotonic()
                if left > 0:
                    self._changed.wait(left)
                    continue
                connection = self._oldest_idle()
            if connection is not None:
                connection.close()
