"""Cached views: refreshed after each promotion, without locking readers out."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import sql

from pipeline.promote.marts import CachedView

REFRESH = sql.SQL("refresh materialized view concurrently {}")


def refresh(connection: psycopg.Connection, views: Sequence[CachedView]) -> tuple[str, ...]:
    """Refresh the views as their owner; answers a warning for each that failed and is stale now."""
    warnings = []
    for view in views:
        try:
            connection.execute(REFRESH.format(sql.Identifier("cache", view.name)))
        except psycopg.Error as error:
            warnings.append(f"cache.{view.name} could not be refreshed and is stale until the next promotion: {error}")
    return tuple(warnings)
