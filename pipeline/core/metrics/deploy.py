"""Deployment of the metric functions: exactly those of this release, as they should be, and no other.

A function that is as it should be is left alone, so that a second deployment changes nothing; one that was changed
by hand is put right. Whatever else is in the schema is dropped: who may call a function there may call all.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import sql

from pipeline.core.database import ServiceRole
from pipeline.core.metrics.catalog import Metric
from pipeline.core.metrics.functions import SCHEMA, SETTINGS, Function, freshness_function, function_of
from pipeline.core.roles import READER

CALLERS = (ServiceRole.API, ServiceRole.EMBED)

FOUND = """
select
    format('%%I.%%I(%%s)', %(schema)s::text, p.proname, pg_get_function_identity_arguments(p.oid)) as signature,
    p.proname as name,
    case p.prokind when 'p' then 'procedure' when 'a' then 'aggregate' else 'function' end as kind,
    pg_get_function_arguments(p.oid) as arguments,
    pg_get_function_result(p.oid) as result,
    p.prosrc as body,
    coalesce(obj_description(p.oid, 'pg_proc'), '') as comment,
    (l.lanname, p.provolatile, p.proparallel, p.prosecdef, p.proisstrict, p.proconfig)
        is not distinct from ('plpgsql'::name, 'v'::"char", 'u'::"char", true, false, %(settings)s::text[]) as is_ours
from pg_proc as p
inner join pg_language as l on l.oid = p.prolang
where p.pronamespace = %(schema)s::regnamespace
"""
FOUND_OWNER = "select pg_get_userbyid(proowner) from pg_proc where oid = %s::regproc"
FOUND_CALLERS = """
select coalesce(r.rolname, 'public'), a.is_grantable
from pg_proc as p
cross join aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as a
left join pg_roles as r on r.oid = a.grantee
where p.oid = %s::regproc and a.grantee <> p.proowner
"""
CREATE = sql.SQL(
    "create or replace function {name}({arguments}) returns {result} language plpgsql volatile parallel unsafe "
    "security definer set search_path = analytics, pg_temp set timezone = 'UTC' as {body}"
)


def deploy_metrics(connection: psycopg.Connection, metrics: Sequence[Metric]) -> None:
    """Bring the functions of the schema `metrics` to this release, inside the administrator's open transaction."""
    wanted = {function.name: function for function in (*map(function_of, metrics), freshness_function())}
    kept = set()
    found = connection.execute(FOUND, {"schema": SCHEMA, "settings": list(SETTINGS)}).fetchall()
    for signature, name, kind, arguments, result, body, comment, is_ours in found:
        function = wanted.get(name)
        if function is None or (arguments, result) != (function.arguments, function.result):
            connection.execute(f"drop {kind} {signature}".encode())
        elif is_ours and (body, comment) == (function.body, function.comment):
            kept.add(name)
    for name, function in wanted.items():
        if name not in kept:
            _create(connection, function)
        _require_owner_and_callers(connection, function)


def _create(connection: psycopg.Connection, function: Function) -> None:
    """Put a function in place; it belongs to whoever had it, or to the administrator if it is new."""
    # Arguments, result and body are of this release, like a migration.
    statement = CREATE.format(
        name=sql.Identifier(SCHEMA, function.name),
        arguments=sql.SQL(function.arguments),
        result=sql.SQL(function.result),
        body=sql.Literal(function.body),
    )
    connection.execute(statement)
    connection.execute(
        sql.SQL("comment on function {} is {}").format(
            sql.Identifier(SCHEMA, function.name), sql.Literal(function.comment)
        )
    )


def _require_owner_and_callers(connection: psycopg.Connection, function: Function) -> None:
    """Ownership to the reader; execution for CALLERS, and nobody else."""
    name, found_by = sql.Identifier(SCHEMA, function.name), (f"{SCHEMA}.{function.name}",)
    if connection.execute(FOUND_OWNER, found_by).fetchone() != (READER,):
        connection.execute(sql.SQL("alter function {} owner to {}").format(name, sql.Identifier(READER)))
    found = set(connection.execute(FOUND_CALLERS, found_by).fetchall())
    if found != {(role.value, False) for role in CALLERS}:
        for role in {role for role, _ in found}:
            grantee = sql.SQL("public") if role == "public" else sql.Identifier(role)
            connection.execute(sql.SQL("revoke all on function {} from {}").format(name, grantee))
        callers = sql.SQL(", ").join(sql.Identifier(role) for role in CALLERS)
        connection.execute(sql.SQL("grant execute on function {} to {}").format(name, callers))
