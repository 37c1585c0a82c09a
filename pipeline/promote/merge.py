"""The statements that bring a candidate into its mart, derived from the mart's declaration. It runs none.

They touch the tenants that are promoted by the promotion bound as %(promotion)s, and no others, and take
no lock above ROW EXCLUSIVE on the mart, so no reader waits.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from pipeline.promote.columns import listed, names, others
from pipeline.promote.marts import Mart, Strategy
from pipeline.promote.slices import CONTINUED, REFRESHED

# In the order of the key, so that neighbours in the index are written together: it halves the time
# of the largest marts, whose candidates come in no order.
#
# A key that is there already fails the promotion: merged once more, its aggregates would count twice.
APPEND = sql.SQL("""insert into {mart} ({columns})
select {columns} from {candidate}
where {tenant} in {tenants}
order by {key}""")

MERGE = sql.SQL("""insert into {mart} as m ({columns})
select {columns} from {candidate}
where {tenant} in {tenants}
order by {key}
on conflict ({key}) do {resolution}""")
UPDATE = sql.SQL("""update set ({columns}) = row({proposed})
where ({published}) is distinct from ({proposed})""")
NOTHING = sql.SQL("nothing")

DELETE = sql.SQL("""delete from {mart} as m
where m.{tenant} in {tenants}
and not exists (select from {candidate} as c where ({candidate_key}) = ({published_key}))""")


@dataclass(frozen=True, kw_only=True)
class Merge:
    """One mart's statements."""

    mart: str
    continuation: sql.Composed
    """For tenants whose candidate holds what is new."""
    deletion: sql.Composed
    """For tenants whose candidate holds everything: what is published beyond it."""
    replacement: sql.Composed
    """For the same tenants: what is missing or differs."""


def merge_statements(mart: Mart) -> Merge:
    """How a mart takes up its candidate."""
    continuation = _append(mart) if mart.strategy is Strategy.APPEND else _merge(mart, CONTINUED)
    return Merge(mart=mart.name, continuation=continuation, deletion=_delete(mart), replacement=_merge(mart, REFRESHED))


def _append(mart: Mart) -> sql.Composed:
    return APPEND.format(**_relations(mart), columns=listed(names(mart)), tenants=CONTINUED, key=listed(mart.key))


def _merge(mart: Mart, tenants: sql.SQL) -> sql.Composed:
    rest = others(mart)
    update = UPDATE.format(columns=listed(rest), published=listed(rest, "m"), proposed=listed(rest, "excluded"))
    return MERGE.format(
        **_relations(mart),
        columns=listed(names(mart)),
        tenants=tenants,
        key=listed(mart.key),
        resolution=update if rest else NOTHING,
    )


def _delete(mart: Mart) -> sql.Composed:
    return DELETE.format(
        **_relations(mart),
        tenants=REFRESHED,
        candidate_key=listed(mart.key, "c"),
        published_key=listed(mart.key, "m"),
    )


def _relations(mart: Mart) -> dict[str, sql.Identifier]:
    return {
        "mart": sql.Identifier("marts", mart.name),
        "candidate": sql.Identifier("candidate", mart.name),
        "tenant": sql.Identifier(mart.tenant_column),
    }
