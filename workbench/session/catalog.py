"""What a tenant may read, as the database's own catalog tells its login, and in which state it is."""

from __future__ import annotations

import difflib
from datetime import datetime

import msgspec
import polars

from workbench.session.errors import NoSuchTable
from workbench.session.freshness import Freshness

TABLES = """
select
    c.relname::text as "table",
    a.attname::text as "column",
    pg_catalog.format_type(a.atttypid, a.atttypmod) as type,
    coalesce(d.description, '') as description
from pg_catalog.pg_class as c
inner join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
inner join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join pg_catalog.pg_description as d
    on d.objoid = c.oid and d.classoid = 'pg_catalog.pg_class'::regclass and d.objsubid = a.attnum
where n.nspname = 'analytics' and c.relkind = 'v' and pg_catalog.has_table_privilege(c.oid, 'select')
order by c.relname, a.attnum
"""

FRESHNESS = "select promotion_id, as_of, held, held_since from analytics.freshness"

# A view over marts changes with a promotion, in its transaction. Others change apart from it: a cached
# view is refreshed some time after, and freshness is a state of its own.
STATE = """
select
    f.promotion_id,
    f.as_of,
    pg_catalog.array_agg(a.attname || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod) order by a.attnum)
        as columns,
    exists (
        select from pg_catalog.pg_rewrite as r
        inner join pg_catalog.pg_depend as p
            on p.objid = r.oid and p.classid = 'pg_catalog.pg_rewrite'::regclass
            and p.refclassid = 'pg_catalog.pg_class'::regclass
        inner join pg_catalog.pg_class as s on s.oid = p.refobjid
        inner join pg_catalog.pg_namespace as sn on sn.oid = s.relnamespace
        where r.ev_class = c.oid and sn.nspname = 'marts'
    ) as published
from pg_catalog.pg_class as c
inner join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
inner join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join analytics.freshness as f on true
where
    n.nspname = 'analytics' and c.relkind = 'v' and c.relname = $1
    and pg_catalog.has_table_privilege(c.oid, 'select')
group by f.promotion_id, f.as_of, c.oid
"""

WHOLE = 'select * from analytics."{}"'


class TableState(msgspec.Struct, frozen=True, kw_only=True):
    """What a table's content is the same by: as long as this is the same, so is the content."""

    promotion_id: int | None
    as_of: datetime | None
    columns: tuple[str, ...]
    published: bool
    """It changes with promotions alone; the content of one that is not may change at any time."""


def freshness_of(found: polars.DataFrame) -> Freshness:
    """The row of analytics.freshness, which is not there before the tenant's data was first checked."""
    if found.is_empty():
        return Freshness(promotion_id=None, as_of=None, held=False, held_since=None)
    return Freshness(**found.row(0, named=True))


def state_of(name: str, found: polars.DataFrame) -> TableState:
    """The state of a table. Raises NoSuchTable."""
    if found.is_empty():
        raise NoSuchTable(f"There is no table {name!r}.")
    promotion_id, as_of, columns, published = found.row(0)
    return TableState(promotion_id=promotion_id, as_of=as_of, columns=tuple(columns), published=published)


def whole_table(name: str) -> str:
    """The statement that reads all of a table."""
    return WHOLE.format(name.replace('"', '""'))


def suggestion(name: str, tables: polars.DataFrame) -> str:
    """What somebody may have meant who asked for a table that is not there."""
    names = tables["table"].unique(maintain_order=True).to_list()
    close = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean {close[0]}?" if close else f"There are {', '.join(names)}."
