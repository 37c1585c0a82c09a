"""Promotions as they stand in the ledger: which there were, whom they concerned, and what they changed.

It only reads, in one snapshot as the steward.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from psycopg import Connection, sql
from psycopg.rows import class_row

from pipeline.core.database import Database
from pipeline.core.errors import PromotionError
from pipeline.promote.marts import Mart
from workbench.accounting.snapshot import snapshot

APPLICATION = "workbench_promotions"


class PromotionLine(msgspec.Struct, frozen=True, kw_only=True):
    """One promotion; `promoted`, `held` and `undone` count tenants, `changed_rows` those of all marts."""

    promotion_id: int
    state: str
    started_at: datetime
    seconds: float | None
    as_of: datetime
    asked_by: str | None
    full_refresh: bool
    events: int
    promoted: int
    held: int
    undone: int
    changed_rows: int
    undoable: bool
    error: str | None
    request_key: str | None = None
    """What it was asked for: a run of Airflow, or whatever `promote --request` named."""


class TenantLine(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant's part in a promotion."""

    tenant_id: str
    events: int
    verdict: str | None
    promoted: bool
    full_refresh: bool
    undone_at: datetime | None
    rules: Sequence[str]
    """Those that failed, or could not be evaluated."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a mart that a promotion changed of a tenant, or would have: `published` tells."""

    mart: str
    tenant_id: str
    published: bool
    inserted: int
    updated: int
    deleted: int


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A promotion with all of its tenants."""

    promotion: PromotionLine
    tenants: Sequence[TenantLine]


class RowChange(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a mart before and after a promotion; None where it was not there."""

    mart: str
    before: Any
    after: Any


# Of the steps that failed or found nothing, rows of tenants may be missing: all counts are 0 then.
LINES = """
select
    p.promotion_id, p.state, p.started_at,
    extract(epoch from p.finished_at - p.started_at)::double precision as seconds,
    p.as_of, p.asked_by, p.full_refresh, t.events, t.promoted, t.held, t.undone,
    p.rows_written + p.rows_deleted as changed_rows,
    p.state = 'published' and p.journal_pruned_at is null as undoable,
    p.error, p.request_key
from control.promotions as p
cross join lateral (
    select
        coalesce(sum(raw_rows), 0)::bigint as events,
        count(*) filter (where promoted) as promoted,
        count(*) filter (where verdict not in ('passed', 'released')) as held,
        count(*) filter (where undone_at is not null) as undone
    from control.promotion_tenants
    where promotion_id = p.promotion_id
) as t
where (%(promotion)s::bigint is null or p.promotion_id = %(promotion)s)
    and (%(tenant)s::text is null or exists (
        select from control.promotion_tenants as c where c.tenant_id = %(tenant)s and c.promotion_id = p.promotion_id
    ))
    and (%(idle)s or p.state <> 'nothing_new')
order by p.promotion_id desc
limit %(most)s
"""
TENANTS = """
select
    t.tenant_id, t.raw_rows as events, t.verdict, t.promoted, t.full_refresh, t.undone_at,
    coalesce(array_agg(c.rule order by c.failing_rows desc, c.rule) filter (where c.rule is not null), '{}') as rules
from control.promotion_tenants as t
left join control.check_results as c using (tenant_id, promotion_id)
where t.promotion_id = %(promotion)s
group by t.tenant_id, t.promotion_id
order by t.promoted, t.tenant_id
"""
CHANGES = """
select c.mart, c.tenant_id, t.promoted and t.undone_at is null as published, c.inserted, c.updated, c.deleted
from control.promotion_changes as c
inner join control.promotion_tenants as t using (tenant_id, promotion_id)
where c.promotion_id = %(promotion)s and (%(tenant)s::text is null or c.tenant_id = %(tenant)s)
    and (%(mart)s::text is null or c.mart = %(mart)s)
order by c.mart, c.tenant_id
"""

# After it, a row is as the next promotion that changed it found it; else as it is now.
ROWS = sql.SQL("""
select
    {name} as mart,
    case when j.existed then to_jsonb(j) - 'promotion_id' - 'existed' - 'tenant_id' end as before,
    case
        when later.found then later.before
        else to_jsonb(m) - 'tenant_id'
    end as after
from {journal} as j
left join lateral (select mart.* from {mart} as mart where {same_mart} offset 0) as m on true
left join lateral (
    select
        true as found,
        case when n.existed then to_jsonb(n) - 'promotion_id' - 'existed' - 'tenant_id' end as before
    from {journal} as n
    where {same_journal} and n.promotion_id > j.promotion_id
    order by n.promotion_id
    limit 1
) as later on true
where j.tenant_id = %(tenant)s and j.promotion_id = %(promotion)s
order by {key}
limit %(most)s
""")


def read_promotions(
    database: Database, *, tenant_id: str | None = None, most: int = 20, idle: bool = False
) -> list[PromotionLine]:
    """The latest promotions, newest first; `idle` includes those that found nothing new."""
    with snapshot(database, application=APPLICATION) as connection:
        return _lines(connection, tenant=tenant_id, most=most, idle=idle)


def read_promotion(database: Database, promotion_id: int) -> Shown:
    """One promotion and its tenants, those that were not promoted first. Raises PromotionError if there is none."""
    with snapshot(database, application=APPLICATION) as connection:
        promotion = _one(connection, promotion_id)
        cursor = connection.cursor(row_factory=class_row(TenantLine))
        return Shown(promotion=promotion, tenants=cursor.execute(TENANTS, {"promotion": promotion_id}).fetchall())


def read_changes(
    database: Database, promotion_id: int, *, tenant_id: str | None = None, mart: str | None = None
) -> list[Change]:
    """What a promotion changed, per mart and tenant. Raises PromotionError if there is none."""
    with snapshot(database, application=APPLICATION) as connection:
        _one(connection, promotion_id)
        values = {"promotion": promotion_id, "tenant": tenant_id, "mart": mart}
        return connection.cursor(row_factory=class_row(Change)).execute(CHANGES, values).fetchall()


def read_row_changes(
    database: Database, promotion_id: int, *, tenant_id: str, marts: Sequence[Mart], most: int
) -> list[RowChange]:
    """Up to `most` rows of each mart before and after a promotion, as far as its journal is kept.

    Of the first promotion of a tenant there is none: every row was new. Raises PromotionError.
    """
    with snapshot(database, application=APPLICATION) as connection:
        _one(connection, promotion_id)
        values = {"promotion": promotion_id, "tenant": tenant_id, "most": most}
        cursor = connection.cursor(row_factory=class_row(RowChange))
        return [row for mart in marts for row in cursor.execute(_rows(mart), values).fetchall()]


def _one(connection: Connection, promotion_id: int) -> PromotionLine:
    lines = _lines(connection, promotion=promotion_id, idle=True)
    if not lines:
        raise PromotionError(
            f"There is no promotion {promotion_id}.", remedy="`workbench promotions list` shows the latest."
        )
    return lines[0]


def _lines(
    connection: Connection,
    *,
    promotion: int | None = None,
    tenant: str | None = None,
    most: int = 1,
    idle: bool = False,
) -> list[PromotionLine]:
    values = {"promotion": promotion, "tenant": tenant, "most": most, "idle": idle}
    return connection.cursor(row_factory=class_row(PromotionLine)).execute(LINES, values).fetchall()


def _rows(mart: Mart) -> sql.Composed:
    def same(other: str) -> sql.Composed:
        pairs = [sql.SQL("{} = {}").format(sql.Identifier(other, name), sql.Identifier("j", name)) for name in mart.key]
        return sql.SQL(" and ").join(pairs)

    return ROWS.format(
        name=sql.Literal(mart.name),
        journal=sql.Identifier("journal", mart.name),
        mart=sql.Identifier("marts", mart.name),
        same_mart=same("mart"),
        same_journal=same("n"),
        key=sql.SQL(", ").join(sql.Identifier("j", name) for name in mart.key),
    )
