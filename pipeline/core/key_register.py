"""The register of API keys: made, listed and revoked as the administrator. A key can be seen once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import select

from pipeline.core.clock import utc_now
from pipeline.core.database import Database
from pipeline.core.errors import ApiKeyError
from pipeline.core.keys import mint, random_text
from pipeline.core.models import ApiKey
from pipeline.core.sessions import admin_session
from pipeline.core.tenants import get_tenant

SCOPES = ("ingest", "read")
LIVE_KEYS_PER_TENANT = 2


def create_key(
    database: Database,
    tenant_id: str,
    *,
    scopes: Sequence[str] = ("ingest",),
    label: str = "",
    expires_at: datetime | None = None,
) -> str:
    """Mint a key and return it, the only time that it can be seen.

    Raises TenantError for an unknown tenant, and ApiKeyError for an unknown scope or while the
    tenant has two live keys: two are what a rotation needs, more are keys that nobody watches.
    """
    if not scopes or set(scopes) - set(SCOPES):
        raise ApiKeyError(f"A key's scopes are out of {', '.join(SCOPES)}.")
    with admin_session(database) as session:
        get_tenant(session, tenant_id)
        live = [key for key in session.exec(select(ApiKey).where(ApiKey.tenant_id == tenant_id)) if is_live(key)]
        if len(live) >= LIVE_KEYS_PER_TENANT:
            raise ApiKeyError(
                f"Tenant {tenant_id} has {len(live)} live keys already.",
                remedy=f"Revoke one first: workbench keys revoke {live[0].key_id}.",
            )
        kind = scopes[0] if len(set(scopes)) == 1 else "full"
        key_id = random_text(12)
        key, secret_hash = mint(kind, key_id)
        session.add(
            ApiKey(
                tenant_id=tenant_id,
                key_id=key_id,
                label=label,
                secret_hash=secret_hash,
                scopes=sorted(set(scopes)),
                expires_at=expires_at,
            )
        )
        session.commit()
        return key


def list_keys(database: Database, tenant_id: str | None = None) -> list[ApiKey]:
    """All keys, or those of a tenant, in the order of their making; the secret is in none of them."""
    query = select(ApiKey).order_by(ApiKey.tenant_id, ApiKey.created_at)  # type: ignore[arg-type]
    with admin_session(database) as session:
        if tenant_id is not None:
            get_tenant(session, tenant_id)
            query = query.where(ApiKey.tenant_id == tenant_id)
        return list(session.exec(query))


def revoke_key(database: Database, key_id: str) -> ApiKey:
    """Revoke a key for good. Raises ApiKeyError if there is none of that id."""
    with admin_session(database) as session:
        key = session.exec(select(ApiKey).where(ApiKey.key_id == key_id)).one_or_none()
        if key is None:
            raise ApiKeyError(f"There is no key {key_id}.", remedy="`workbench keys list` shows them.")
        key.revoked_at = key.revoked_at or utc_now()
        session.commit()
        return key


def is_live(key: ApiKey) -> bool:
    """Whether the key still opens anything."""
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > utc_now())
