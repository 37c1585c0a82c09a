"""Who may do what with a published table: row security, policies and grants, exactly these.

A policy or grant that is not named here is taken away again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from pipeline.core.database import ServiceRole
from pipeline.core.roles import READER

READS = "select"
PUBLISHES = "select, insert, update, delete"

GRANTS: Mapping[str, Mapping[str, str]] = {
    "marts": {
        READER: READS,
        ServiceRole.TRANSFORMER: READS,
        ServiceRole.PUBLISHER: PUBLISHES,
        ServiceRole.STEWARD: READS,
        ServiceRole.BI: READS,
    },
    "journal": {ServiceRole.PUBLISHER: "select, insert, delete", ServiceRole.STEWARD: READS},
    "cache": {READER: READS, ServiceRole.STEWARD: READS, ServiceRole.BI: READS},
    "analytics": {"workbench_tenants": READS, ServiceRole.API: READS},
}
"""Schema -> role -> privileges on each of its relations. Tenants reach views of `analytics` alone."""

OWN_TENANT = "(tenant_id = ( SELECT control.current_tenant() AS current_tenant))"
"""As PostgreSQL prints it. The subquery is computed once a query, a bare call once a row."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A permissive policy of a table; conditions as PostgreSQL prints them."""

    name: str
    command: str
    roles: tuple[str, ...]
    using: str
    check: str | None = None


PUBLISHER_MAY = Policy(name="publishes", command="ALL", roles=(ServiceRole.PUBLISHER,), using="true", check="true")
POLICIES: Mapping[str, Sequence[Policy]] = {
    "marts": (
        PUBLISHER_MAY,
        Policy(name="reads_all", command="SELECT", roles=(ServiceRole.BI, ServiceRole.STEWARD), using="true"),
        Policy(name="reads_own_tenant", command="SELECT", roles=(READER,), using=OWN_TENANT),
        Policy(name="transforms", command="SELECT", roles=(ServiceRole.TRANSFORMER,), using="true"),
    ),
    "journal": (
        PUBLISHER_MAY,
        Policy(name="reads_all", command="SELECT", roles=(ServiceRole.STEWARD,), using="true"),
    ),
}
"""Schema -> the policies of each of its tables."""

FLAGS = "select relrowsecurity and relforcerowsecurity from pg_class where oid = to_regclass(%s)"
FOUND_POLICIES = """
    select p.policyname, p.permissive || ' ' || p.cmd, p.roles::text[], p.qual, p.with_check
    from pg_policies as p
    where p.schemaname = %s and p.tablename = %s
"""
FOUND_GRANTS = """
    select coalesce(r.rolname, 'public'), string_agg(lower(a.privilege_type), ', ' order by a.privilege_type)
    from pg_class as c
    cross join aclexplode(c.relacl) as a
    left join pg_roles as r on r.oid = a.grantee
    where c.oid = to_regclass(%s) and a.grantee <> c.relowner
    group by r.rolname
"""
FOUND_COLUMN_GRANTS = """
    select distinct coalesce(r.rolname, 'public')
    from pg_attribute as c
    cross join aclexplode(c.attacl) as a
    left join pg_roles as r on r.oid = a.grantee
    where c.attrelid = to_regclass(%s)
"""


@contextmanager
def as_role(connection: psycopg.Connection, role: str) -> Iterator[None]:
    """Act, and own what is created, as another role until the block ends."""
    connection.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
    yield
    connection.execute("reset role")


def require_row_security(connection: psycopg.Connection, schema: str, name: str) -> None:
    """Row security on and forced, with POLICIES and no other; the caller is the table's owner."""
    table = sql.Identifier(schema, name)
    if connection.execute(FLAGS, (f"{schema}.{name}",)).fetchone() != (True,):
        connection.execute(sql.SQL("alter table {} enable row level security").format(table))
        connection.execute(sql.SQL("alter table {} force row level security").format(table))
    found = {row[0]: row[1:] for row in connection.execute(FOUND_POLICIES, (schema, name))}
    wanted = {
        policy.name: (f"PERMISSIVE {policy.command}", sorted(policy.roles), policy.using, policy.check)
        for policy in POLICIES[schema]
    }
    for old in found:
        if found[old] != wanted.get(old):
            connection.execute(sql.SQL("drop policy {} on {}").format(sql.Identifier(old), table))
    for policy in POLICIES[schema]:
        if found.get(policy.name) != wanted[policy.name]:
            connection.execute(_create_policy(policy, table))


def require_grants(connection: psycopg.Connection, schema: str, name: str) -> None:
    """The privileges of GRANTS and no other; the caller is the relation's owner."""
    relation = sql.Identifier(schema, name)
    wanted = dict(GRANTS[schema])
    found: dict[str, str] = dict(connection.execute(FOUND_GRANTS, (f"{schema}.{name}",)).fetchall())
    on_columns = {row[0] for row in connection.execute(FOUND_COLUMN_GRANTS, (f"{schema}.{name}",))}
    for role in on_columns | {role for role in found if found[role] != _in_order(wanted.get(role))}:
        grantee = sql.SQL("public") if role == "public" else sql.Identifier(role)
        connection.execute(sql.SQL("revoke all on {} from {}").format(relation, grantee))
        found.pop(role, None)
    for role, privileges in wanted.items():
        if role not in found:
            connection.execute(
                sql.SQL("grant {} on {} to {}").format(sql.SQL(privileges), relation, sql.Identifier(role))
            )


def _in_order(privileges: str | None) -> str | None:
    return privileges and ", ".join(sorted(privileges.split(", ")))


def _create_policy(policy: Policy, table: sql.Identifier) -> sql.Composed:
    statement = sql.SQL("create policy {} on {} for {} to {} using ({})").format(
        sql.Identifier(policy.name),
        table,
        sql.SQL(policy.command),
        sql.SQL(", ").join(sql.Identifier(role) for role in policy.roles),
        sql.SQL(policy.using),
    )
    return statement if policy.check is None else statement + sql.SQL(" with check ({})").format(sql.SQL(policy.check))
