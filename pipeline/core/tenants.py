"""Tenants and their login roles.

A tenant's id is the operator's; its login role has a random name, since role names are readable by
every login of the cluster. Each call is one transaction as the administrator: creating roles needs it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence

from psycopg import sql
from sqlmodel import Session, select

from pipeline.core.clock import utc_now
from pipeline.core.database import Database
from pipeline.core.errors import TenantError
from pipeline.core.models import Tenant, TenantLogin
from pipeline.core.roles import TENANTS, set_password
from pipeline.core.sessions import admin_session, driver

TENANT_ID = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")

MOST_SHARDS = 1_000

CREATE_LOGIN = sql.SQL(
    "create role {role} login nosuperuser nocreatedb nocreaterole noreplication nobypassrls "
    "connection limit 10 in role {group}"
)
# Defaults for the session, which it may change; the hard limits are the connection limit above,
# and on the outside the hot standby and the memory of its host.
LOGIN_DEFAULTS = (
    sql.SQL("alter role {role} set statement_timeout = '60s'"),
    sql.SQL("alter role {role} set idle_in_transaction_session_timeout = '60s'"),
    sql.SQL("alter role {role} set search_path = analytics"),
)
END_SESSIONS = "select pg_terminate_backend(pid) from pg_stat_activity where usename = %s"


def add_tenant(
    database: Database, tenant_id: str, *, display_name: str | None = None, event_types: Sequence[str] | None = None
) -> Tenant:
    """Create a tenant and its login role. Raises TenantError if the id is taken or malformed."""
    if TENANT_ID.fullmatch(tenant_id) is None:
        raise TenantError(
            f"{tenant_id!r} cannot be a tenant id.",
            remedy="Use 1 to 63 lower-case letters, digits, dots, dashes and underscores, "
            "with a letter or digit at both ends.",
        )
    with admin_session(database) as session:
        if session.get(Tenant, tenant_id) is not None:
            raise TenantError(f"Tenant {tenant_id} is already there.")
        types = None if event_types is None else list(event_types)
        tenant = Tenant(tenant_id=tenant_id, display_name=display_name or tenant_id, event_types=types)
        session.add(tenant)
        session.flush()
        session.add(TenantLogin(tenant_id=tenant_id, role_name=_create_login(session, database)))
        session.commit()
        session.refresh(tenant)
        return tenant


def list_tenants(database: Database) -> list[Tenant]:
    """All tenants, by id."""
    with admin_session(database) as session:
        return list(session.exec(select(Tenant).order_by(Tenant.tenant_id)))


def set_tenant(
    database: Database, tenant_id: str, *, display_name: str | None = None, shards: int | None = None
) -> Tenant:
    """Change what is given of a tenant. Raises TenantError for an unknown tenant or an impossible value."""
    if shards is not None and not 1 <= shards <= MOST_SHARDS:
        raise TenantError(
            f"{shards} shards are not possible.",
            remedy=f"Use 1 to {MOST_SHARDS:,}; more than the topic has partitions spread no further.",
        )
    if display_name is not None and not display_name.strip():
        raise TenantError("The name that people see cannot be empty.", remedy="Give at least one letter.")
    with admin_session(database) as session:
        tenant = get_tenant(session, tenant_id)
        tenant.display_name = tenant.display_name if display_name is None else display_name
        tenant.shards = tenant.shards if shards is None else shards
        session.commit()
        session.refresh(tenant)
        return tenant


def suspend_tenant(database: Database, tenant_id: str) -> None:
    """Refuse the tenant's events and logins from now on, and end its sessions; its data is kept."""
    with admin_session(database) as session:
        tenant = get_tenant(session, tenant_id)
        tenant.status, tenant.suspended_at = "suspended", utc_now()
        login = _login(session, tenant_id)
        driver(session).execute(sql.SQL("alter role {} nologin").format(sql.Identifier(login)))
        session.commit()
        driver(session).execute(END_SESSIONS, (login,))


def resume_tenant(database: Database, tenant_id: str) -> None:
    """Undo a suspension."""
    with admin_session(database) as session:
        tenant = get_tenant(session, tenant_id)
        tenant.status, tenant.suspended_at = "active", None
        login = _login(session, tenant_id)
        driver(session).execute(sql.SQL("alter role {} login").format(sql.Identifier(login)))
        session.commit()


def tenant_login(database: Database, tenant_id: str) -> str:
    """The name of the tenant's login role. Raises TenantError for an unknown tenant."""
    with admin_session(database) as session:
        get_tenant(session, tenant_id)
        return _login(session, tenant_id)


def tenant_url(database: Database, tenant_id: str) -> str:
    """The address at which the tenant reads. Raises TenantError if it is unknown, or suspended.

    The database refuses the login of a suspended tenant too; this tells why.
    """
    with admin_session(database) as session:
        if get_tenant(session, tenant_id).status == "suspended":
            raise TenantError(
                f"Tenant {tenant_id} is suspended, and so is its login.",
                remedy=f"`workbench tenants resume {tenant_id}` undoes that.",
            )
        return database.reading_url(_login(session, tenant_id))


def get_tenant(session: Session, tenant_id: str) -> Tenant:
    """The tenant, in this session. Raises TenantError if it is unknown."""
    tenant = session.get(Tenant, tenant_id)
    if tenant is None:
        raise TenantError(f"There is no tenant {tenant_id!r}.", remedy="`workbench tenants list` shows them.")
    return tenant


def _login(session: Session, tenant_id: str) -> str:
    return session.exec(select(TenantLogin.role_name).where(TenantLogin.tenant_id == tenant_id)).one()


def _create_login(session: Session, database: Database) -> str:
    login = f"t_{secrets.token_hex(8)}"
    connection = driver(session)
    role, group = sql.Identifier(login), sql.Identifier(TENANTS)
    connection.execute(CREATE_LOGIN.format(role=role, group=group))
    for statement in LOGIN_DEFAULTS:
        connection.execute(statement.format(role=role))
    set_password(connection, database, login)
    return login
