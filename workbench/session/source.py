"""What notebooks and their analysis read from: a Workbench, or a stand-in of a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from workbench.session.freshness import Freshness

if TYPE_CHECKING:
    import duckdb
    import polars


class Source(Protocol):
    """One tenant's published data; see `Workbench` for what each method answers and raises."""

    tenant_id: str
    display_name: str

    def sql(
        self,
        query: str,
        params: Sequence[object] | Mapping[str, object] = (),
        *,
        most_rows: int | None = None,
        timeout_seconds: float = 60,
    ) -> polars.DataFrame:
        """A statement's answer."""

    def table(self, name: str) -> polars.LazyFrame:
        """All rows of a table."""

    def tables(self) -> polars.DataFrame:
        """The columns of all tables."""

    def duckdb(self) -> duckdb.DuckDBPyConnection:
        """The tables as views of a DuckDB."""

    def freshness(self) -> Freshness:
        """Up to when the data is published."""
