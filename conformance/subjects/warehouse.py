"""What the other subjects have in common: a schema `reporting`, its roles, and its wall between tenants.

A builder that owns what it publishes, an analyst who may see all tenants, and one login for all tenants
whose application sets `app.tenant`, as is customary: row security on the tables, and a view of the
tenant's own rows that is a security invoker.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from conformance.port import Reading, Relation
from pipeline.core.database import Database, connect

BUILDER, ANALYST, TENANT = "conformance_builder", "conformance_analyst", "conformance_tenant"
SCHEMA = "reporting"

READING = Reading(
    facts=Relation(SCHEMA, "fct_usage_events"),
    metrics=Relation(SCHEMA, "tenant_usage_metrics"),
    users=Relation(SCHEMA, "dim_users"),
    own_metrics=Relation(SCHEMA, "own_usage_metrics"),
)

# Roles belong to the server, the rest to the database.
ROLES = f"""
do $$ begin
    perform pg_advisory_xact_lock(hashtext('conformance roles'));
    if to_regrole('{BUILDER}') is null then
        create role {BUILDER} login;
        create role {ANALYST} login;
        create role {TENANT} login;
    end if;
    alter role {BUILDER} bypassrls;
end $$;
grant usage on schema raw to {BUILDER};
grant select on raw.usage_events to {BUILDER};
create schema {SCHEMA} authorization {BUILDER};
grant usage on schema {SCHEMA} to {ANALYST}, {TENANT};
"""

PROTECT = """
alter table {table} enable row level security;
create policy reads_all on {table} for select to {analyst} using (true);
create policy reads_own_tenant on {table} for select to {tenant}
    using (tenant_id = (select current_setting('app.tenant', true)));
"""
GRANT = "grant select on {table} to {analyst}, {tenant};"


class Warehouse:
    """The database of one subject, with roles and a schema; it publishes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.url = database.login_url(BUILDER)

    def prepare(self) -> None:
        """Create the roles and the schema."""
        with self._database.connect_admin() as admin:
            admin.execute(ROLES.encode())
            row = admin.execute("select current_database()").fetchall()[0]
            for role in (BUILDER, ANALYST, TENANT):
                admin.execute(
                    sql.SQL("grant connect, temporary on database {} to {}").format(
                        sql.Identifier(row[0]), sql.Identifier(role)
                    )
                )
            admin.execute(
                sql.SQL("grant create on database {} to {}").format(sql.Identifier(row[0]), sql.Identifier(BUILDER))
            )

    def protect(self, table: str, *, grant: bool) -> sql.Composed:
        """The statements that put a table of the schema under row security, with its grants if asked."""
        words = {
            "table": sql.Identifier(SCHEMA, table),
            "analyst": sql.Identifier(ANALYST),
            "tenant": sql.Identifier(TENANT),
        }
        return sql.SQL(PROTECT + (GRANT if grant else "")).format(**words)

    def builder(self, *, autocommit: bool = False) -> psycopg.Connection:
        """A connection of the role that builds."""
        return connect(self.url, autocommit=autocommit, application="conformance_build")

    def blind(self) -> None:
        """The builder comes under row security, as after a tidy-up of roles; no policy names it."""
        with self._database.connect_admin() as admin:
            admin.execute(sql.SQL("alter role {} nobypassrls").format(sql.Identifier(BUILDER)))

    @contextmanager
    def as_analyst(self) -> Iterator[psycopg.Connection]:
        """The analyst's login."""
        with connect(self._database.login_url(ANALYST), autocommit=True, application="conformance") as connection:
            yield connection

    @contextmanager
    def as_tenant(self, tenant: str) -> Iterator[psycopg.Connection]:
        """The tenants' login, as the application uses it for one of them."""
        with connect(self._database.login_url(TENANT), autocommit=True, application="conformance") as connection:
            connection.execute(sql.SQL("set app.tenant = {}").format(sql.Literal(tenant)))
            yield connection
