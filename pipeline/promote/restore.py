"""The statements that take a promotion back out of a mart, derived from the mart's declaration. It runs none.

They concern the promotion bound as %(promotion)s and the tenants bound as %(tenants)s. Rows are
reached through the keys in the journal, one probe each; a tenant of which nothing was published
before has no journal, and all that is published of it goes.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from pipeline.promote.columns import content, equal, listed, names, others
from pipeline.promote.marts import Mart

# The rows of a promotion as they are in the mart now. `offset 0` keeps it a probe per key.
IN_MART = """select {hash} as content, m.{tenant}
    from {journal} as j
    cross join lateral (select mart.* from {mart} as mart where {probe} offset 0) as m
    where j.{tenant} = changes.{tenant} and j.promotion_id = %(promotion)s"""

DIFFERS = """select changes.tenant_id
from control.promotion_changes as changes
cross join lateral (
    select count(*) as found, coalesce(sum(row_in_mart.content), 0) as content
    from ({rows}) as row_in_mart
) as now
where
    changes.promotion_id = %(promotion)s and changes.mart = {name} and changes.tenant_id = any(%(tenants)s)
    and (now.found <> {count} or now.content is distinct from {recorded})
limit 1"""

ALL_OF_TENANT = """select {hash} as content from {mart} as m where m.{tenant} = changes.tenant_id"""

# By their places: a join may read the mart whole, whatever the planner believes of it.
REMOVE = """delete from {mart} where ctid = any(array(
    select m.ctid
    from {journal} as j
    cross join lateral (select mart.ctid from {mart} as mart where {probe} offset 0) as m
    where j.{tenant} = any(%(tenants)s) and j.promotion_id = %(promotion)s and not j.existed
))"""

RESTORE = """insert into {mart} ({columns})
select {columns} from {journal}
where {tenant} = any(%(tenants)s) and promotion_id = %(promotion)s and existed
order by {key}
on conflict ({key}) do {resolution}"""

FORGET = "delete from {journal} where {tenant} = any(%(tenants)s) and promotion_id = %(promotion)s"
REMOVE_FIRST = "delete from {mart} where {tenant} = any(%(tenants)s)"


@dataclass(frozen=True, kw_only=True)
class Restore:
    """One mart's statements. Those named `differs` answer a tenant whose rows are not as recorded."""

    mart: str
    differs_now: sql.Composed
    """Before: from what the promotion left."""
    remove: sql.Composed
    """What it had inserted."""
    restore: sql.Composed
    """What it had updated or deleted."""
    differs_restored: sql.Composed
    """Afterwards: from what the promotion had found."""
    forget: sql.Composed
    """The journal of what is undone."""
    differs_first: sql.Composed
    remove_first: sql.Composed


def restore_statements(mart: Mart) -> Restore:
    """How a promotion is taken back out of a mart."""
    rest = others(mart)
    update = sql.SQL("update set ({}) = row({})").format(listed(rest), listed(rest, "excluded"))
    parts: dict[str, sql.Composable] = {
        "mart": sql.Identifier("marts", mart.name),
        "journal": sql.Identifier("journal", mart.name),
        "tenant": sql.Identifier(mart.tenant_column),
        "key": listed(mart.key),
        "columns": listed(names(mart)),
        "probe": equal(mart.key, "mart", "j"),
        "hash": content(mart, "m"),
        "resolution": update if rest else sql.SQL("nothing"),
    }
    rows = sql.SQL(IN_MART).format(**parts)
    existing = sql.SQL("{} and j.existed").format(rows)
    everything = sql.SQL(ALL_OF_TENANT).format(**parts)
    written = "changes.inserted + changes.updated"
    return Restore(
        mart=mart.name,
        differs_now=_differs(mart, rows, written, "changes.content_after"),
        remove=sql.SQL(REMOVE).format(**parts),
        restore=sql.SQL(RESTORE).format(**parts),
        differs_restored=_differs(mart, existing, "changes.updated + changes.deleted", "changes.content_before"),
        forget=sql.SQL(FORGET).format(**parts),
        differs_first=_differs(mart, everything, written, "changes.content_after"),
        remove_first=sql.SQL(REMOVE_FIRST).format(**parts),
    )


def _differs(mart: Mart, rows: sql.Composed, count: str, recorded: str) -> sql.Composed:
    return sql.SQL(DIFFERS).format(
        rows=rows, name=sql.Literal(mart.name), count=sql.SQL(count), recorded=sql.SQL(recorded)
    )
