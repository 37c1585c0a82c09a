"""A tenant's data in memory, for reports: small, and the same each time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import duckdb
import polars as pl

from workbench.session import Freshness

AS_OF = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)


def moment_of(promotion_id: int) -> datetime:
    """Up to when a promotion took in what was received."""
    return AS_OF + timedelta(hours=promotion_id - 7)


class InMemory:
    """Stands in for a Workbench; `promotions` are what its freshness answers, one after the other."""

    def __init__(self, *promotions: int | None, name: str = "Acme & Sons", failing: Exception | None = None) -> None:
        self.tenant_id = "acme"
        self.display_name = name
        self._promotions = list(promotions) or [7]
        self._failing = failing
        self._days = count(1)

    def freshness(self) -> Freshness:
        """Of a later moment than the promotion's own, and held: no report may show either."""
        promotion = self._promotions.pop(0) if len(self._promotions) > 1 else self._promotions[0]
        as_of = None if promotion is None else AS_OF + timedelta(days=next(self._days))
        return Freshness(promotion_id=promotion, as_of=as_of, held=True, held_since=AS_OF)

    def table(self, name: str, **_: Any) -> pl.LazyFrame:
        """Events of four weeks, or their users."""
        if self._failing is not None:
            raise self._failing
        events = _events()
        if name == "fct_usage_events":
            return events.lazy()
        assert name == "dim_users"
        return (
            events.group_by("user_id", maintain_order=True)
            .agg(
                first_seen_at=pl.col("occurred_at").min(),
                last_seen_at=pl.col("occurred_at").max(),
                events=pl.len().cast(pl.Int64),
                active_days=pl.col("occurred_on").n_unique().cast(pl.Int64),
            )
            .lazy()
        )

    def sql(self, query: str, params: Sequence[object] | Mapping[str, object] = (), **_: Any) -> pl.DataFrame:
        """Nothing that reports of these tests need."""
        raise AssertionError(f"a report asks tables alone, not {query} with {params}")

    def tables(self) -> pl.DataFrame:
        """Nothing that reports of these tests need."""
        raise AssertionError("a report asks tables alone")

    def duckdb(self) -> duckdb.DuckDBPyConnection:
        """Nothing that reports of these tests need."""
        raise AssertionError("a report asks tables alone")


def _events() -> pl.DataFrame:
    at = [AS_OF - timedelta(hours=5 * number) for number in range(200)]
    return pl.DataFrame(
        {
            "event_id": [f"e{number}" for number in range(200)],
            "event_type": [("page_view", "api_call", "<b>odd</b>")[number % 3] for number in range(200)],
            "occurred_at": at,
            "user_id": [f"u{number % 9}" for number in range(200)],
            "session_id": [f"s{number // 4}" for number in range(200)],
            "properties": ["{}"] * 200,
        },
        schema_overrides={"occurred_at": pl.Datetime("us", "UTC")},
    ).with_columns(
        occurred_on=pl.col("occurred_at").dt.date(), received_at=pl.col("occurred_at"), lag_seconds=pl.lit(1.0)
    )
