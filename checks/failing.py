"""The failing rows of a rule, grouped by tenant: how many, and a few to look at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

SAMPLES = 20

# Of a query whose first column is the tenant. Only that one is renamed: others may repeat it. A row
# becomes JSON only if it is shown.
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


def by_tenant(rows: Iterable[tuple[Any, ...]]) -> Mapping[str | None, FailingRows]:
    """What BY_TENANT answered for a query of failing rows; None is for rows without a tenant."""
    return {tenant: FailingRows(count=count, samples=tuple(samples)) for tenant, count, samples in rows}
