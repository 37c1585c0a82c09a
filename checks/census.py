"""What the gate can see before it judges: every table whole, and how many rows of each tenant.

Rules speak about rows that are there. A missing table, a role from which row security hides rows
and a tenant without any row are found here, or they would all pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from checks.judgement import Session
from pipeline.core.errors import PromotionError

FACTS = "fct_usage_events"

TABLES = """
select
    name,
    case
        when found.oid is null then 'is missing'
        when not has_table_privilege(found.oid, 'select') then 'may not be read by ' || current_user
        when row_security_active(found.oid) then 'hides rows from ' || current_user || ' by row security'
    end as obstacle
from unnest(%s::text[]) as wanted (name)
cross join lateral (select to_regclass(format('candidate.%%I', name)) as oid) as found
"""

COUNT = """
select opened.tenant_id, opened.raw_rows, coalesce(fact.fact_rows, 0)
from control.promotion_tenants as opened
left join (
    select tenant_id, count(*) as fact_rows
    from candidate.fct_usage_events
    group by tenant_id
) as fact on fact.tenant_id = opened.tenant_id
where opened.promotion_id = %s
"""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What there is of a tenant: raw rows that the promotion took up, and facts in the candidate."""

    raw_rows: int
    fact_rows: int


class Blind(PromotionError):
    """The gate cannot see the candidate whole."""


def require_whole(session: Session, tables: Sequence[str]) -> None:
    """Raise Blind, naming the first candidate table that is missing or cannot be seen whole."""
    for name, obstacle in session.answers(TABLES, (list(tables),)):
        if obstacle is not None:
            raise Blind(f"candidate.{name} {obstacle}")


def take_census(session: Session, promotion_id: int) -> Mapping[str, Seen]:
    """Count, in one query, what there is of each tenant of the promotion."""
    rows = session.answers(COUNT, (promotion_id,))
    return {tenant: Seen(raw_rows=raw_rows, fact_rows=fact_rows) for tenant, raw_rows, fact_rows in rows}
