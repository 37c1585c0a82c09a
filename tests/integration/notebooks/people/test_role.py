"""What the role of the notebook server may do: all that letting people in needs, and nothing beside it."""

from __future__ import annotations

import psycopg
import pytest

from pipeline.core.database import Database, ServiceRole
from tests.integration.notebooks.people.conftest import House

ROLE = ServiceRole.NOTEBOOKS

RIGHTS = """
select format('%%I.%%I', n.nspname, c.relname), lower(right_of.name)
from pg_class as c
inner join pg_namespace as n on n.oid = c.relnamespace
cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) as right_of (name)
where
    n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
    and c.relkind in ('r', 'p', 'v', 'm', 'f')
    and has_table_privilege(%(role)s, c.oid, right_of.name)
"""
COLUMN_RIGHTS = """
select format('%%I.%%I', n.nspname, c.relname), lower(right_of.name), array_agg(a.attname::text order by a.attname)
from pg_attribute as a
inner join pg_class as c on c.oid = a.attrelid
inner join pg_namespace as n on n.oid = c.relnamespace
cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) as right_of (name)
where
    n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
    and c.relkind in ('r', 'p', 'v', 'm', 'f')
    and a.attnum > 0
    and not a.attisdropped
    and has_column_privilege(%(role)s, c.oid, a.attnum, right_of.name)
    and not has_table_privilege(%(role)s, c.oid, right_of.name)
group by 1, 2
"""
WHOLE = {
    ("control.users", "select"),
    *{("control.user_sessions", right) for right in ("select", "insert", "delete")},
    *{("control.failed_sign_ins", right) for right in ("select", "insert", "update", "delete")},
    ("control.audit_log", "insert"),
}
BY_COLUMN = {
    ("control.users", "update"): ["last_sign_in_at", "oidc_issuer", "oidc_subject", "password_hash"],
    ("control.user_sessions", "update"): ["closed_at", "last_seen_at"],
    ("control.tenants", "select"): ["display_name", "status", "tenant_id"],
    ("control.tenant_logins", "select"): ["role_name", "tenant_id"],
}
REFUSED = [
    "insert into control.users (user_id, email, role) values (gen_random_uuid(), 'x@y.z', 'admin')",
    "delete from control.users",
    "update control.users set role = 'admin', tenant_id = null",
    "update control.users set tenant_id = 'globex'",
    "update control.users set status = 'active'",
    "update control.users set email = 'x@y.z'",
    "update control.user_sessions set expires_at = 'infinity'",
    "update control.user_sessions set user_id = gen_random_uuid()",
    "update control.tenants set status = 'active'",
    "update control.tenant_logins set tenant_id = 'globex'",
    "select * from control.tenants",
    "select * from control.audit_log",
    "delete from control.audit_log",
    "update control.audit_log set actor = 'x'",
    "select * from control.api_keys",
    "select * from control.signing_keys",
    "select * from control.promotion_progress",
    "select * from raw.usage_events",
    "select * from marts.dim_users",
    "select * from analytics.dim_users",
    "select * from analytics.freshness",
    "select control.current_tenant()",
    "select control.sign_out_tenant()",
    "create temporary table x (y int)",
    "create table control.x (y int)",
    "create schema x",
    "set role workbench_steward",
    "set session authorization workbench_api",
    "select pg_read_file('postgresql.conf')",
]


def test_its_rights_are_these_and_no_more(inhabited: Database) -> None:
    with inhabited.connect_admin() as connection:
        whole = {(table, right) for table, right in connection.execute(RIGHTS, {"role": ROLE.value})}
        by_column = {
            (table, right): columns for table, right, columns in connection.execute(COLUMN_RIGHTS, {"role": ROLE})
        }
        schemas = connection.execute(
            "select nspname::text from pg_namespace where has_schema_privilege(%s, oid, 'usage') "
            "and nspname not in ('pg_catalog', 'information_schema')",
            (ROLE.value,),
        ).fetchall()
        memberships = connection.execute(
            "select from pg_auth_members where member = %s::regrole or roleid = %s::regrole", (ROLE.value, ROLE.value)
        ).fetchall()
    assert whole == WHOLE
    assert by_column == BY_COLUMN
    assert schemas == [("control",)]
    assert memberships == []


def test_whatever_would_reach_beyond_the_door_is_refused(house: House) -> None:
    house.add()
    house.sign_in()
    allowed = []
    with house.database.connect(ROLE, autocommit=True) as connection:
        for statement in REFUSED:
            try:
                connection.execute(statement.encode())
            except psycopg.errors.InsufficientPrivilege:
                continue
            allowed.append(statement)
    assert allowed == []


@pytest.mark.parametrize("role", [role for role in ServiceRole if role is not ROLE])
def test_no_other_role_sees_users_or_their_sessions(inhabited: Database, role: ServiceRole) -> None:
    with inhabited.connect(role, autocommit=True) as connection:
        for table in ("users", "user_sessions", "failed_sign_ins"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"select from control.{table}")
