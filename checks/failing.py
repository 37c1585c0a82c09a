"""The failing rows of a rule, grouped by tenant: how many, and a few to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

SAMPLES = 20

# Only the first column is renamed: others may repeat it. A row becomes JSON only if it is shown.
BY_TENANT = """
with

failing (tenant) as (

    {query}

),

numbered as (

    select
        tenant,
        failing as failing_row,
        row_number() over (partition by tenant) as position
    from failing

)

select
    tenant,
    count(*),
    jsonb_agg(to_jsonb(failing_row) - 'tenant') filter (where position <= {samples})
from numbered
group by tenant
"""


@dataclass(frozen=True, kw_only=True)
class FailingRows:
    """A tenant's failing rows: all are counted, at most 20 shown."""

    count: int
    samples: tuple[dict[str, Any], ...]


def failing_rows(connection: psycopg.Connection, query: str) -> Mapping[str | None, FailingRows]:
    """Run a query of failing rows, whose first column is the tenant; None is for rows without one."""
    statement = BY_TENANT.format(query=query, samples=SAMPLES)
    rows = connection.execute(statement.encode()).fetchall()
    return {tenant: FailingRows(count=count, samples=tuple(samples)) for tenant, count, samples in rows}
