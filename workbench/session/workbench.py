"""One tenant's published data, for people and notebooks: by SQL, as Polars frames, and in DuckDB.

It is the one way in which notebooks and reports read. Which rows there are is the database's decision:
whoever has a Workbench is logged in as the tenant.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import msgspec
import polars

from pipeline.core.database import without_password
from workbench.session import asking, catalog
from workbench.session.errors import NoSuchTable
from workbench.session.extracts import Extract, ExtractCache, Write
from workbench.session.freshness import Freshness
from workbench.session.in_memory import open_duckdb
from workbench.session.pool import Pool
from workbench.session.reading import Reading
from workbench.session.statement import Statement, read_statement

if TYPE_CHECKING:
    import duckdb

    from workbench.session.connection import Connection

T = TypeVar("T")

STATEMENT_SECONDS = 60.0
EXTRACT_SECONDS = 600.0
GRACE_SECONDS = 1.0
"""By which the server's own timeout is later than ours."""
KEEP_SECONDS = 3600.0
"""For how long an extract that newer data has replaced stays for frames that were made of it."""

Params = Sequence[object] | Mapping[str, object]


class _Held(msgspec.Struct):
    extract: Extract
    last_used: float


class Workbench:
    """One tenant's published data, read as the tenant's own login. Context manager; thread-safe."""

    def __init__(self, *, tenant_id: str, display_name: str, url: str, pool: Pool, cache: ExtractCache) -> None:
        """`url` is a libpq URI of the tenant's login; pool and cache may be shared with other tenants."""
        self.tenant_id = tenant_id
        self.display_name = display_name
        self._url = url
        self._owner = without_password(url)
        self._pool = pool
        self._cache = cache
        self._lock = threading.Lock()
        self._readings: set[Reading] = set()
        self._held: dict[tuple[str, catalog.TableState], _Held] = {}

    @classmethod
    def connect(cls, url: str | None = None) -> Workbench:
        """The workbench of whose address it is: `url`, or TENANT_DATABASE_URL of the environment.

        Raises SettingsError where there is no address, ConnectionLost where nothing answers.
        """
        from workbench.session.opening import connect

        return connect(url, os.environ)

    def sql(
        self,
        query: str,
        params: Params = (),
        *,
        most_rows: int | None = None,
        timeout_seconds: float = STATEMENT_SECONDS,
        reading: Reading | None = None,
    ) -> polars.DataFrame:
        """The answer of one SELECT, WITH, VALUES or TABLE statement.

        Values stand in it as $1, $2 or $name, and are bound by the server. Raises StatementRefused,
        StatementFailed, NoSuchTable, StatementTimeout, StatementCancelled, TooManyRows (with the first
        rows) beyond `most_rows` or 2 GiB, TooManyConnections, or ConnectionLost.
        """
        statement = read_statement(query, params)
        return self._read(lambda it: self._asked(statement, it, most_rows, timeout_seconds), reading, timeout_seconds)

    def table(
        self, name: str, *, timeout_seconds: float = EXTRACT_SECONDS, reading: Reading | None = None
    ) -> polars.LazyFrame:
        """All rows of a table of `analytics`: a scan of a local file, made anew when a promotion changes the data.

        Raises NoSuchTable, and what `sql` raises.
        """
        found = self._whole(name, timeout_seconds, reading)
        return found.lazy() if isinstance(found, polars.DataFrame) else polars.scan_parquet(found.path)

    def tables(self) -> polars.DataFrame:
        """The columns of all tables: table, column, type, description."""
        return self.sql(catalog.TABLES)

    def duckdb(
        self, tables: Sequence[str] | None = None, *, reading: Reading | None = None
    ) -> duckdb.DuckDBPyConnection:
        """A DuckDB of its own with the tables, all of them by default, as views of the same files.

        It reads nothing else: no other file, and no network. Raises what `table` raises.
        """
        names = self.tables()["table"].unique(maintain_order=True).to_list() if tables is None else tables
        found = {name: self._whole(name, EXTRACT_SECONDS, reading) for name in names}
        return open_duckdb({name: each.path if isinstance(each, Extract) else each for name, each in found.items()})

    def freshness(self) -> Freshness:
        """Up to when the data is published, and whether newer data is held back."""
        return catalog.freshness_of(self.sql(catalog.FRESHNESS))

    @property
    def is_reading(self) -> bool:
        """Somebody reads at this moment."""
        with self._lock:
            return bool(self._readings)

    def cancel(self) -> int:
        """Cancel whatever is being read, in any thread; answers how many reads that were."""
        with self._lock:
            readings = list(self._readings)
        for reading in readings:
            reading.cancel()
        return len(readings)

    def close(self) -> None:
        """Cancel what is being read, and rest."""
        self.cancel()
        self.rest()

    def rest(self) -> None:
        """Close idle connections and let go of extracts; whoever uses it again wakes it."""
        self._pool.close_idle(self._url)
        with self._lock:
            held, self._held = self._held, {}
        for each in held.values():
            each.extract.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, work: Callable[[Reading], T], reading: Reading | None, timeout_seconds: float) -> T:
        reading = reading or Reading()
        with self._lock:
            self._readings.add(reading)
        try:
            return reading.wait_for(lambda: work(reading), timeout_seconds=timeout_seconds)
        finally:
            with self._lock:
                self._readings.discard(reading)

    @contextmanager
    def _transaction(self, reading: Reading, timeout_seconds: float) -> Iterator[Connection]:
        seconds = timeout_seconds + GRACE_SECONDS
        with self._pool.transaction(self._url, timeout_seconds=seconds) as connection, reading.on(connection):
            yield connection

    def _asked(
        self, statement: Statement, reading: Reading, most_rows: int | None, timeout_seconds: float
    ) -> polars.DataFrame:
        with self._transaction(reading, timeout_seconds) as connection:
            return asking.ask(connection, statement, reading, most_rows=most_rows)

    def _whole(self, name: str, timeout_seconds: float, reading: Reading | None) -> Extract | polars.DataFrame:
        try:
            return self._read(lambda it: self._extract(name, it, timeout_seconds), reading, timeout_seconds)
        except NoSuchTable as error:
            raise NoSuchTable(error.message, remedy=catalog.suggestion(name, self.tables())) from error

    def _extract(self, name: str, reading: Reading, timeout_seconds: float) -> Extract | polars.DataFrame:
        """An extract of the table as it is now; the rows themselves of one that changes without promotions."""
        while True:
            with self._transaction(reading, timeout_seconds) as connection:
                state = _state(connection, name)
                if not state.published:
                    return asking.ask(connection, read_statement(catalog.whole_table(name)), reading)
            held = self._held_already(name, state)
            if held is not None:
                return held

            def fill(write: Write, state: catalog.TableState = state) -> bool:
                return self._fill(name, state, write, reading, timeout_seconds)

            extract = self._cache.get(self._owner, (name, *msgspec.structs.astuple(state)), fill, reading)
            if extract is not None:
                return self._hold(name, state, extract)

    def _held_already(self, name: str, state: catalog.TableState) -> Extract | None:
        with self._lock:
            held = self._held.get((name, state))
            if held is None:
                return None
            if held.extract.path.exists():
                held.last_used = time.monotonic()
                return held.extract
            # Somebody has emptied the folder.
            del self._held[name, state]
        held.extract.release()
        return None

    def _fill(
        self, name: str, state: catalog.TableState, write: Write, reading: Reading, timeout_seconds: float
    ) -> bool:
        """Write the table, unless it is not in this state any more; state and rows are of one snapshot."""
        with self._transaction(reading, timeout_seconds) as connection:
            if _state(connection, name) != state:
                return False
            question = asking.understand(connection, read_statement(catalog.whole_table(name)))
            write(asking.answer(connection, question, reading))
        return True

    def _hold(self, name: str, state: catalog.TableState, extract: Extract) -> Extract:
        """Keep the extract, and let go of older ones of the same table that nothing can well be reading any more."""
        now = time.monotonic()
        with self._lock:
            held = self._held.setdefault((name, state), _Held(extract, now))
            surplus = [
                key for key, each in self._held.items() if key[0] == name and now - each.last_used > KEEP_SECONDS
            ]
            outdated = [self._held.pop(key).extract for key in surplus]
        for each in outdated + ([extract] if held.extract is not extract else []):
            each.release()
        return held.extract


def _state(connection: Connection, name: str) -> catalog.TableState:
    # Its row is none of the table's, whose progress somebody may be looking at.
    return catalog.state_of(name, asking.ask(connection, read_statement(catalog.STATE, [name]), Reading()))
