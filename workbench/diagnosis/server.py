"""Checks of the database: version, revision, roles, what PUBLIC may do, the security fingerprint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import psycopg

from pipeline.core import deployment, fingerprint
from pipeline.core.database import Database, ServiceRole, connect, without_password
from pipeline.core.errors import DatabaseUnavailable
from pipeline.core.roles import OWNER, READER, TENANTS
from workbench.diagnosis import Check, fail, guarded, ok, warn

# The first release of each branch with the security fixes of November 2026. With earlier ones a
# tenant's SQL can run code in the server or outlive a revoked membership (CVE-2026-14666). Known of
# 15.20; the other branches were released beside it.
SAFE_RELEASES = {15: 20, 16: 16, 17: 12, 18: 6}

NO_LOGINS = (OWNER, READER, TENANTS)

# Roles of ours, and tenants' logins, with an attribute that none of them may have.
TOO_POWERFUL = """
select rolname from pg_roles
where
    (
        rolname = any(%(names)s)
        or oid in (
            select member from pg_auth_members where roleid = 'workbench_tenants'::regrole and not admin_option
        )
    )
    and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication)
order by rolname
"""

# What deployment takes from PUBLIC and a tenant's login must not have; only a superuser can take it.
OPEN_TO_TENANTS = """
select p.proname from pg_proc as p
where
    p.pronamespace = 'pg_catalog'::regnamespace
    and p.proname in (
        'set_config', 'ts_stat', 'query_to_xml', 'lo_create', 'pg_advisory_lock', 'pg_notify',
        'pg_terminate_backend', 'pg_export_snapshot', 'pg_logical_emit_message'
    )
    and has_function_privilege('workbench_tenants', p.oid, 'execute')
union
select 'temporary tables' where has_database_privilege('workbench_tenants', current_database(), 'temporary')
union
select 'language ' || lanname from pg_language
where lanpltrusted and has_language_privilege('workbench_tenants', oid, 'usage')
order by 1
"""


def examine(database: Database) -> Iterator[Check]:
    """All checks of a database; of one that does not answer, only that."""
    try:
        connection = database.connect_admin(autocommit=True)
    except DatabaseUnavailable as error:
        yield fail(
            "database", error.message, "Start it, or correct DATABASE_URL; embedded: see .workbench/postgres/log."
        )
        return
    with connection:
        yield ok("database", without_password(database.admin_url))
        yield release(connection.info.server_version)
        found = guarded("revision", lambda: revision(connection))
        yield found
        if found.state != "ok":
            return
        checks: tuple[tuple[str, Callable[[psycopg.Connection], Check]], ...] = (
            ("roles", roles),
            ("open to tenants", open_to_tenants),
            ("fingerprint", security),
        )
        for name, check in checks:
            yield guarded(name, partial(check, connection))
        yield guarded("logins", lambda: logins(database))


def release(server_version: int) -> Check:
    """The server's release, of a branch that is supported and with the fixes that our isolation needs."""
    branch, minor = divmod(server_version, 10000)
    told = f"PostgreSQL {branch}.{minor}"
    if server_version < deployment.OLDEST_SERVER:
        return fail("server", f"{told} is too old", "Use PostgreSQL 15 or newer.")
    needed = SAFE_RELEASES.get(branch, 0)
    if minor < needed:
        return warn(
            "server",
            f"{told} lacks security fixes that tenants' own SQL could make use of",
            f"Let tenants type SQL only on {branch}.{needed} or newer; the embedded server is for this machine's user.",
        )
    return ok("server", told)


def revision(connection: psycopg.Connection) -> Check:
    """The database is at this release."""
    found, head = deployment.revisions(connection)
    if found == head:
        return ok("revision", head)
    return fail("revision", f"{found or 'none'}, this release needs {head}", "Run `workbench db migrate`.")


def roles(connection: psycopg.Connection) -> Check:
    """The roles are all there, and none can go around the policies."""
    names = [*NO_LOGINS, *(role.value for role in ServiceRole)]
    present = {row[0] for row in connection.execute("select rolname from pg_roles where rolname = any(%s)", (names,))}
    if missing := [name for name in names if name not in present]:
        return fail("roles", f"missing: {', '.join(missing)}", "Run `workbench db migrate`.")
    powerful = [row[0] for row in connection.execute(TOO_POWERFUL, {"names": names})]
    if powerful:
        return fail(
            "roles",
            f"with attributes that go around row security: {', '.join(powerful)}",
            f"alter role {powerful[0]} nosuperuser nobypassrls nocreaterole nocreatedb noreplication;",
        )
    return ok("roles", f"{len(names)}, none superuser, BYPASSRLS or creating roles; tenants' logins neither")


def open_to_tenants(connection: psycopg.Connection) -> Check:
    """What tenants' SQL could use against the others is closed to it."""
    found = [row[0] for row in connection.execute(OPEN_TO_TENANTS)]
    if found:
        return warn("open to tenants", ", ".join(found), "Run `workbench db migrate` once as a superuser.")
    return ok("open to tenants", "no function, language or temporary table that reaches beyond a tenant")


def security(connection: psycopg.Connection) -> Check:
    """Policies, grants, owners and views are what was deployed."""
    return ok("fingerprint", fingerprint.verify(connection)[:16])


def logins(database: Database) -> Check:
    """Each service role gets in with the password that WORKBENCH_SECRET gives it."""
    for role in ServiceRole:
        try:
            connect(database.url(role), application="workbench_doctor").close()
        except DatabaseUnavailable as error:
            return fail(
                "logins",
                error.message,
                "Set the WORKBENCH_SECRET that the database was migrated with, or run `workbench db migrate`.",
            )
    return ok("logins", f"all {len(ServiceRole)} service roles get in")
