"""How a Workbench comes about: for a server's tenants, and for an analyst's own machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from pipeline.core.database import Database
from pipeline.core.errors import SettingsError, TenantError
from pipeline.core.models import Tenant
from pipeline.core.sessions import admin_session
from pipeline.core.tenants import get_tenant, tenant_login
from workbench.session.extracts import ExtractCache
from workbench.session.pool import Pool
from workbench.session.workbench import Workbench

TENANT_URL = "TENANT_DATABASE_URL"
TENANT_ID = "TENANT_ID"
"""Beside the address: a tenant's own login cannot read it."""

STARTER = Path(__file__).with_name("starter.py")
"""The notebook that an analyst begins with."""

NAMED = "select display_name from analytics.dim_tenants"


def open_workbench(
    database: Database,
    tenant_id: str,
    *,
    cache_dir: Path,
    analyst_url: str | None = None,
    pool: Pool | None = None,
) -> Workbench:
    """The workbench of a tenant, as one that may look its login up; a pool may be shared with other tenants.

    `analyst_url` is the address of a standby, where the tenant reads if it is given. Raises TenantError
    for a tenant that is unknown or suspended, DatabaseUnavailable.
    """
    return Workbench(
        tenant_id=tenant_id,
        display_name=_active(database, tenant_id).display_name,
        url=analyst_login_url(database, tenant_login(database, tenant_id), analyst_url),
        pool=pool or Pool(),
        cache=ExtractCache(cache_dir),
    )


def find_address(database: Database, tenant_id: str, *, analyst_url: str | None = None) -> str:
    """The address at which the tenant reads. Raises TenantError, DatabaseUnavailable."""
    _active(database, tenant_id)
    return analyst_login_url(database, tenant_login(database, tenant_id), analyst_url)


def _active(database: Database, tenant_id: str) -> Tenant:
    """The tenant. Raises TenantError if it is unknown, or suspended: the database refuses its login too."""
    with admin_session(database) as session:
        tenant = get_tenant(session, tenant_id)
        session.expunge(tenant)
    if tenant.status == "suspended":
        raise TenantError(
            f"Tenant {tenant_id} is suspended, and so is its login.",
            remedy=f"`workbench tenants resume {tenant_id}` undoes that.",
        )
    return tenant


def analyst_login_url(database: Database, login: str, analyst_url: str | None) -> str:
    """Where a tenant's login reads: on the standby, if there is one."""
    return (dataclasses.replace(database, admin_url=analyst_url) if analyst_url else database).login_url(login)


def connect(url: str | None, environment: Mapping[str, str]) -> Workbench:
    """The workbench of whose address it is. Raises SettingsError, ConnectionLost."""
    address = url or environment.get(TENANT_URL)
    if not address:
        raise SettingsError(
            f"{TENANT_URL} is not set.",
            remedy="`workbench db url --tenant TENANT` prints a tenant's address; "
            "`workbench notebook --tenant TENANT` opens a notebook that knows it.",
        )
    login = str(conninfo_to_dict(address).get("user", ""))
    found = Workbench(
        tenant_id=environment.get(TENANT_ID, login) if url is None else login,
        display_name=login,
        url=address,
        pool=Pool(),
        cache=ExtractCache(cache_folder(environment)),
    )
    names = found.sql(NAMED)
    found.display_name = str(names.item()) if len(names) else found.tenant_id
    return found


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Where this user's extracts go on this machine."""
    base = environment.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "workbench" / "extracts"
