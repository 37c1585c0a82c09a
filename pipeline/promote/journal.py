"""The journal: what a promotion overwrites in a mart, noted in the transaction that overwrites it.

The statements are derived from the mart's declaration. They note the key of every row that is about
to be inserted, updated or deleted, and the row as it was; per tenant they enter how many rows that
is, and the sum of the rows' hashes before and after. A sum depends on no order, and tells a row that
is there twice. Nothing is noted of tenants of which nothing was published before: undoing removes
all of theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from pipeline.promote import slices
from pipeline.promote.columns import content, equal, listed, others
from pipeline.promote.marts import Mart, Strategy

# New keys only: one that is there already fails the promotion.
APPENDED = """select
    {key}, false as existed, false as gone, {nulls}, null::bigint as before, {hash_c} as after
from {candidate} as c
where c.{tenant} in {tenants}"""

# The lateral subquery with `offset 0` costs a probe of the mart's key for each row of the candidate,
# whatever the planner believes.
MERGED = """select
    {key_c}, m.{tenant} is not null as existed, false as gone, {others_m},
    case when m.{tenant} is not null then {hash_m} end as before, {hash_c} as after
from {candidate} as c
left join lateral (select mart.* from {mart} as mart where {probe} offset 0) as m on true
where c.{tenant} in {tenants} and (m.{tenant} is null or {differs})"""

RESTATED = """select
    {keys}, m.{tenant} is not null as existed, c.{tenant} is null as gone, {others_m},
    case when m.{tenant} is not null then {hash_m} end as before,
    case when c.{tenant} is not null then {hash_c} end as after
from (select * from {candidate} where {tenant} in {tenants}) as c
full join (select * from {mart} where {tenant} in {tenants}) as m on {match}
where c.{tenant} is null or m.{tenant} is null or {differs}"""

NOTE = """with touched as materialized (
{touched}
), noted as (
    insert into {journal} (promotion_id, existed, {key}{comma_others})
    select %(promotion)s, existed, {key}{comma_others} from touched order by {key}
)
insert into control.promotion_changes
    (tenant_id, promotion_id, mart, inserted, updated, deleted, content_before, content_after)
select
    {tenant}, %(promotion)s, {name}, count(*) filter (where not existed),
    count(*) filter (where existed and not gone), count(*) filter (where gone),
    coalesce(sum(before), 0), coalesce(sum(after), 0)
from touched
group by {tenant}"""

# What a promotion would have changed: the difference of a held tenant's data to its last good state.
FORESEE = """insert into control.promotion_changes
    (tenant_id, promotion_id, mart, inserted, updated, deleted)
select
    {tenant}, %(promotion)s, {name}, count(*) filter (where not existed),
    count(*) filter (where existed and not gone), count(*) filter (where gone)
from (
{touched}
) as touched
where {tenant} is not null
group by {tenant}"""

COUNT_FIRST = """insert into control.promotion_changes
    (tenant_id, promotion_id, mart, inserted, updated, deleted, content_before, content_after)
select c.{tenant}, %(promotion)s, {name}, count(*), 0, 0, {zero}, {sum}
from {candidate} as c
where c.{tenant} in {tenants}
group by c.{tenant}"""


@dataclass(frozen=True, kw_only=True)
class Note:
    """One mart's statements, to be run before it is merged. `refreshed` are of tenants that begin anew."""

    continued: tuple[sql.Composed, ...]
    refreshed: tuple[sql.Composed, ...]


def note_statements(mart: Mart) -> Note:
    """How a mart's changes are noted, and those foreseen of the tenants that are held."""
    appends = APPENDED if mart.strategy is Strategy.APPEND else MERGED
    return Note(
        continued=(
            _format(mart, NOTE, appends, slices.CONTINUED),
            _format(mart, FORESEE, MERGED, slices.HELD_CONTINUED),
        ),
        refreshed=(
            _format(mart, NOTE, RESTATED, slices.RESTATED),
            _format(mart, FORESEE, RESTATED, slices.HELD_RESTATED),
            _count_first(mart, slices.FIRST, published=True),
            _count_first(mart, slices.HELD_FIRST, published=False),
        ),
    )


def note(connection: psycopg.Connection, statements: Sequence[sql.Composed], promotion_id: int) -> None:
    """Run statements of a Note for a promotion."""
    for statement in statements:
        connection.execute(statement, {"promotion": promotion_id})


def _format(mart: Mart, outer: str, touched: str, tenants: sql.SQL) -> sql.Composed:
    return sql.SQL(outer).format(
        **_parts(mart), touched=sql.SQL(touched).format(**_parts(mart), tenants=tenants), name=sql.Literal(mart.name)
    )


def _count_first(mart: Mart, tenants: sql.SQL, *, published: bool) -> sql.Composed:
    total = sql.SQL("sum({})").format(content(mart, "c")) if published else sql.SQL("null")
    zero = sql.SQL("0" if published else "null")
    return sql.SQL(COUNT_FIRST).format(
        **_parts(mart), tenants=tenants, name=sql.Literal(mart.name), zero=zero, sum=total
    )


def _parts(mart: Mart) -> dict[str, sql.Composable]:
    rest = others(mart)
    nulls = [sql.SQL("null::{} as {}").format(sql.SQL(_type(mart, name)), sql.Identifier(name)) for name in rest]
    keys = [
        sql.SQL("coalesce({}, {}) as {}").format(
            sql.Identifier("c", name), sql.Identifier("m", name), sql.Identifier(name)
        )
        for name in mart.key
    ]
    differs = sql.SQL("({}) is distinct from ({})").format(listed(rest, "m"), listed(rest, "c"))
    return {
        "candidate": sql.Identifier("candidate", mart.name),
        "mart": sql.Identifier("marts", mart.name),
        "journal": sql.Identifier("journal", mart.name),
        "tenant": sql.Identifier(mart.tenant_column),
        "key": listed(mart.key),
        "key_c": listed(mart.key, "c"),
        "keys": sql.SQL(", ").join(keys),
        "nulls": sql.SQL(", ").join(nulls) if nulls else sql.SQL("null as nothing"),
        "others_m": listed(rest, "m") if rest else sql.SQL("null as nothing"),
        "comma_others": sql.SQL("").join([sql.SQL(", {}").format(sql.Identifier(name)) for name in rest]),
        "probe": equal(mart.key, "mart", "c"),
        "match": equal(mart.key, "m", "c"),
        "differs": differs if rest else sql.SQL("false"),
        "hash_c": content(mart, "c"),
        "hash_m": content(mart, "m"),
    }


def _type(mart: Mart, name: str) -> str:
    return next(column.type for column in mart.columns if column.name == name)
