"""The leak probe: logs in as readers do, and looks for rows that are not theirs.

The fingerprint says that the walls are as they were built; this says that they hold. For a few tenants
drawn by lot it asks every view that people read for one row of the tenant's own and one of another's,
by their keys, so it costs a few index probes whatever is published. What it expects it reads as the
publisher, from the tables behind the views. It is no substitute for the isolation tests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from checks.verdicts import Error
from pipeline.core.database import Database, ServiceRole, connect
from pipeline.core.errors import DatabaseUnavailable
from pipeline.core.verdicts import Check

BOUNDARY, RULE = "isolation", "readers_see_own_rows_only"
WHY = "A reader who sees rows of another tenant sees another company's business."
APPLICATION = "workbench_leak_probe"
TENANTS_PROBED = 2
TENANTS_TRIED = 6
"""One tenant whose login takes no connection must not keep everybody from being promoted."""

LIMIT_TIME = "set statement_timeout = '20s'"

# Whom nothing but views of `analytics` is for, or nothing at all, and every right that they have beside it.
RIGHTS = """
select reader.name, format('%I.%I', n.nspname, c.relname)
from unnest(array['workbench_tenants', 'workbench_embed']) as reader (name)
cross join pg_class as c
inner join pg_namespace as n on n.oid = c.relnamespace
where
    (
        n.nspname in ('raw', 'control', 'staging', 'intermediate', 'candidate', 'marts', 'journal', 'cache')
        or n.nspname = 'analytics' and reader.name = 'workbench_embed'
    )
    and c.relkind in ('r', 'p', 'v', 'm', 'f')
    and (
        has_table_privilege(reader.name, c.oid, 'select, insert, update, delete, truncate, references, trigger')
        or has_any_column_privilege(reader.name, c.oid, 'select, insert, update, references')
    )
order by 1, 2
"""

# Whatever is a view there is probed, whoever made it. Its key is that of the table of the same name.
VIEWS = """
select
    v.relname as name,
    n.nspname as schema,
    coalesce(
        (
            select array_agg(a.attname order by k.position)
            from pg_index as i
            cross join unnest(i.indkey) with ordinality as k (attnum, position)
            inner join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = k.attnum
            where i.indexrelid = (
                select indexrelid from pg_index
                where indrelid = t.oid and indisunique
                order by indisprimary desc, indexrelid
                limit 1
            ) and a.attname <> 'tenant_id'
        ),
        '{}'
    ) as key
from pg_class as v
inner join pg_namespace as home on home.oid = v.relnamespace and home.nspname = 'analytics'
left join lateral (
    select c.oid, c.relnamespace from pg_class as c
    where c.oid in (to_regclass(format('marts.%I', v.relname)), to_regclass(format('cache.%I', v.relname)))
) as t on true
left join pg_namespace as n on n.oid = t.relnamespace
where v.relkind in ('v', 'm', 'r', 'p', 'f')
order by v.relname
"""

DRAW = """
select g.tenant_id, l.role_name
from control.promotion_progress as g
inner join control.tenant_logins as l using (tenant_id)
inner join control.tenants as t using (tenant_id)
where g.promotion_id is not null and t.status = 'active'
order by random()
limit %s
"""

ONE_ROW = sql.SQL("select {key} from {table} where tenant_id = %s limit 1")
OWN_ROWS = sql.SQL("select count(*) from (select from {table} where tenant_id = %s{keyed} limit 2) as found")
SEEN_ROWS = sql.SQL("select count(*) from (select from {view}{keyed} limit 2) as found")
SEES_ANYTHING = sql.SQL("select exists (select from {view})")

FORGED = "{tenant}|99999999999|k1|" + "0" * 64


@dataclass(frozen=True, kw_only=True)
class View:
    """A relation of `analytics`; `schema` is where the table of its name is, None if there is none."""

    name: str
    schema: str | None
    key: tuple[str, ...] | list[str]

    @property
    def shown(self) -> sql.Identifier:
        """The view."""
        return sql.Identifier("analytics", self.name)

    @property
    def table(self) -> sql.Identifier:
        """What is behind it."""
        return sql.Identifier(self.schema or "analytics", self.name)


@dataclass(frozen=True, kw_only=True)
class Login:
    """A tenant and its login role."""

    tenant_id: str
    role_name: str


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """How many rows of a view a tenant is to see for a key, which is one of `owner`'s."""

    view: View
    owner: str
    row: Mapping[str, Any]
    rows: int


def leaks_as_check(leaks: Sequence[Error]) -> Check:
    """What the probe found, as it stands beside the rules in a report."""
    return Check(
        boundary=BOUNDARY,
        rule=RULE,
        table="analytics",
        severity="stop",
        why=WHY,
        outcome="errored" if leaks else "passed",
        checked_rows=0,
        failing_rows=0,
        failing_tenants=0,
    )


class LeakProbe:
    """Probes a deployed database as its readers; answers what they could see and should not."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __call__(self) -> list[Error]:
        """An error for each leak, naming the reader and the relation; none if the walls hold.

        A reader who does not see rows of its own is one too: a probe that sees nothing proves nothing.
        """
        with self._database.connect(ServiceRole.PUBLISHER, autocommit=True, application=APPLICATION) as publisher:
            views = publisher.cursor(row_factory=class_row(View)).execute(VIEWS).fetchall()
            drawn = publisher.cursor(row_factory=class_row(Login)).execute(DRAW, (TENANTS_TRIED,)).fetchall()
            # What somebody sees comes before what somebody could.
            found = [*self._tenants(publisher, views, drawn), *self._api(views, drawn), *self._embed(views)]
            found += _rights(publisher)
        return [Error(boundary=BOUNDARY, rule=RULE, reason=reason) for reason in found]

    def _tenants(self, publisher: psycopg.Connection, views: Sequence[View], drawn: Sequence[Login]) -> Iterator[str]:
        probed = 0
        for number, login in enumerate(drawn):
            if probed == TENANTS_PROBED:
                return
            other = drawn[number - 1].tenant_id if len(drawn) > 1 else None
            expectations = list(_expectations(publisher, views, login.tenant_id, other))
            try:
                with connect(
                    self._database.login_url(login.role_name), autocommit=True, application=APPLICATION
                ) as reader:
                    reader.execute(LIMIT_TIME)
                    yield from _probe_tenant(reader, views, login.tenant_id, expectations)
            except (DatabaseUnavailable, psycopg.Error):
                # A tenant may set its login so that it takes no connection, or fails: that is no leak.
                continue
            probed += 1
        if drawn and not probed:
            yield f"none of the logins of {', '.join(login.tenant_id for login in drawn)} can be probed"

    def _api(self, views: Sequence[View], drawn: Sequence[Login]) -> Iterator[str]:
        """Without a token, or with one that nobody signed, our own service sees nothing."""
        tokens = {
            "without a token": "",
            "with a forged token": FORGED.format(tenant=drawn[0].tenant_id if drawn else ""),
        }
        with self._database.connect(ServiceRole.API, application=APPLICATION) as reader:
            for how, token in tokens.items():
                with reader.transaction():
                    reader.execute("select set_config('workbench.tenant_token', %s, true)", (token,))
                    for view in views:
                        if reader.execute(SEES_ANYTHING.format(view=view.shown)).fetchone() != (False,):
                            yield f"{ServiceRole.API} sees rows of analytics.{view.name} {how}"

    def _embed(self, views: Sequence[View]) -> Iterator[str]:
        """Embedded dashboards reach nothing without a function that verifies their token."""
        with self._database.connect(ServiceRole.EMBED, autocommit=True, application=APPLICATION) as reader:
            for view in views:
                for relation in (view.shown, view.table):
                    if _may_read(reader, relation):
                        yield f"{ServiceRole.EMBED} may read {relation.as_string(None)}"


def _rights(publisher: psycopg.Connection) -> Iterator[str]:
    """What the catalog lets those reach who are to reach views alone."""
    for reader, relation in publisher.execute(RIGHTS):
        yield f"{reader} has rights on {relation}"


def _expectations(
    publisher: psycopg.Connection, views: Sequence[View], tenant: str, other: str | None
) -> Iterator[Expectation]:
    for view in views:
        for owner in filter(None, (tenant, other)) if view.schema else ():
            row = _row_of(publisher, view, owner)
            if row is not None:
                rows = _count(publisher, OWN_ROWS, view, row, tenant)
                yield Expectation(view=view, owner=owner, row=row, rows=rows)


def _probe_tenant(
    reader: psycopg.Connection, views: Sequence[View], tenant: str, expectations: Sequence[Expectation]
) -> Iterator[str]:
    """What a tenant's session shows. Raises psycopg.Error where the session fails: the tenant may make it."""
    who = f"the login of {tenant}"
    for view in views:
        # There is no table of its name to compare with: freshness, and whatever nobody deployed.
        if view.schema is None and _count(reader, SEEN_ROWS, view, {}, None) > 1:
            yield f"{who} sees more than one row of analytics.{view.name}"
        if view.schema is not None and _may_read(reader, view.table):
            yield f"{who} may read {view.schema}.{view.name} itself"
    for expected in expectations:
        seen = _count(reader, SEEN_ROWS, expected.view, expected.row, None)
        if seen != expected.rows:
            where = f"analytics.{expected.view.name} for a key of {expected.owner}"
            yield f"{who} sees {seen} rows of {where}, not {expected.rows}"


def _row_of(publisher: psycopg.Connection, view: View, tenant: str) -> Mapping[str, Any] | None:
    """The key of some row of the tenant; None if it has none."""
    key = sql.SQL(", ").join(map(sql.Identifier, view.key)) if view.key else sql.SQL("true")
    found = publisher.execute(ONE_ROW.format(key=key, table=view.table), (tenant,)).fetchone()
    return None if found is None else dict(zip(view.key, found, strict=False))


def _count(
    connection: psycopg.Connection, query: sql.SQL, view: View, row: Mapping[str, Any], tenant: str | None
) -> int:
    conditions = [sql.SQL("{} = %s").format(sql.Identifier(name)) for name in row]
    keyed = sql.SQL(" and ").join(conditions)
    if conditions:
        keyed = sql.SQL(" where " if tenant is None else " and ") + keyed
    values = [*([] if tenant is None else [tenant]), *row.values()]
    found = connection.execute(query.format(table=view.table, view=view.shown, keyed=keyed), values).fetchone()
    return 0 if found is None else int(found[0])


def _may_read(reader: psycopg.Connection, relation: sql.Identifier) -> bool:
    try:
        reader.execute(sql.SQL("select from {} limit 1").format(relation))
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True
