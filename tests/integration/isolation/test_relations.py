"""Every relation in the catalog, read as a tenant's own login: no foreign row, value or count."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

from pipeline.core.database import Database
from tests.integration.isolation.conftest import Tenant

ALL_RELATIONS = """
select n.nspname, c.relname from pg_class as c inner join pg_namespace as n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S', 't') order by 1, 2
"""
# What a login may read outside the catalog, beside the views of analytics: nothing.
REFUSED = (psycopg.errors.InsufficientPrivilege, psycopg.errors.WrongObjectType, psycopg.errors.FeatureNotSupported)


def relations(database: Database) -> list[tuple[str, str]]:
    with database.connect_admin() as connection:
        return [(schema, name) for schema, name in connection.execute(ALL_RELATIONS)]


def test_no_relation_of_the_catalog_tells_anything_of_another_tenant(
    database: Database, attackers: tuple[Tenant, Tenant]
) -> None:
    found = relations(database)
    assert len(found) > 200
    assert ("marts", "fct_usage_events") in found
    for tenant in attackers:
        readable = set()
        with tenant.connect() as connection:
            for schema, name in found:
                query = sql.SQL("select r::text from {} as r").format(sql.Identifier(schema, name))
                try:
                    rows = connection.execute(query).fetchall()
                except REFUSED as refused:
                    assert_silent(str(refused), tenant)
                    continue
                readable.add(schema)
                for (text,) in rows:
                    assert_silent(text or "", tenant, where=f"{schema}.{name}")
        assert readable == {"analytics", "information_schema", "pg_catalog"}


def test_every_view_shows_exactly_the_own_rows(database: Database, attackers: tuple[Tenant, Tenant]) -> None:
    views = [name for schema, name in relations(database) if schema == "analytics"]
    assert len(views) >= 10
    for tenant in attackers:
        with tenant.connect() as connection:
            for view in views:
                query = sql.SQL("select count(*), array_agg(v::text) from analytics.{} as v").format(
                    sql.Identifier(view)
                )
                row = connection.execute(query).fetchone()
                assert row is not None
                expected = 1 if view in {"dim_tenants", "freshness"} else tenant.own_rows
                assert row[0] == expected, view
                assert_silent("".join(row[1]), tenant, where=view)


def test_the_tenant_column_is_nowhere_to_be_asked_for(acme: Tenant) -> None:
    with acme.connect() as connection:
        columns = connection.execute(
            "select table_name from information_schema.columns where table_schema = 'analytics' "
            "and column_name = 'tenant_id'"
        ).fetchall()
        assert columns == []
        with pytest.raises(psycopg.errors.UndefinedColumn):
            connection.execute("select tenant_id from analytics.fct_usage_events")


def test_statistics_are_of_nobody(attackers: tuple[Tenant, Tenant]) -> None:
    for tenant in attackers:
        with tenant.connect() as connection:
            assert connection.execute("select count(*) from pg_stats where schemaname = 'marts'").fetchone() == (0,)


def assert_silent(text: str, tenant: Tenant, *, where: str = "an error") -> None:
    """No marker and no id of the other tenant in `text`."""
    for marker in tenant.foreign:
        assert marker not in text, f"{where} tells {tenant.tenant_id} of {marker}: {text[:300]}"
