"""How a Workbench comes about: for a server's tenants, and for an analyst's own machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from pipeline.core.database import Database
from pipeline.core.errors import SettingsError
from pipeline.core.sessions import admin_session
from pipeline.core.tenants import get_tenant, tenant_url
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
    pool: Pool | None = None,
) -> Workbench:
    """The workbench of a tenant, as one that may look its login up; a pool may be shared with other tenants.

    Raises TenantError for a tenant that is unknown or suspended, DatabaseUnavailable.
    """
    url = tenant_url(database, tenant_id)
    with admin_session(database) as session:
        display_name = get_tenant(session, tenant_id).display_name
    return Workbench(
        tenant_id=tenant_id,
        display_name=display_name,
        url=url,
        pool=pool or Pool(),
        cache=ExtractCache(cache_dir),
    )


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
