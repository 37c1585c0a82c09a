"""A tenant's data as of one promotion, for a notebook that must not know of what came later."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.core.errors import WorkbenchError
from workbench.session import Freshness, Source

if TYPE_CHECKING:
    import duckdb
    import polars

T = TypeVar("T")


class Pinned:
    """A source whose freshness stands still, and which remembers what could not be read.

    Its moment, and whether newer data is held, change while the promotion stays; a notebook that shows a failure
    as a screen has failed all the same.
    """

    def __init__(self, source: Source, freshness: Freshness) -> None:
        self.tenant_id = source.tenant_id
        self.display_name = source.display_name
        self.failure: WorkbenchError | None = None
        self._source = source
        self._freshness = freshness

    def freshness(self) -> Freshness:
        """The promotion that the report is of."""
        return self._freshness

    def sql(self, query: str, params: Sequence[object] | Mapping[str, object] = (), **options: Any) -> polars.DataFrame:
        """As the source."""
        return self._read(lambda: self._source.sql(query, params, **options))

    def table(self, name: str, **options: Any) -> polars.LazyFrame:
        """As the source."""
        return self._read(lambda: self._source.table(name, **options))

    def tables(self) -> polars.DataFrame:
        """As the source."""
        return self._read(self._source.tables)

    def duckdb(self) -> duckdb.DuckDBPyConnection:
        """As the source."""
        return self._read(self._source.duckdb)

    def _read(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except WorkbenchError as error:
            self.failure = error
            raise
