"""API keys: minted once, kept as hashes, verified on every request.

A key reads `wb_<type>_<key id>_<secret><checksum>`: the type tells people and secret scanners what
it opens, the checksum (CRC-32 in base 62 over all before it) rejects typing errors without a look
at the database, and of the secret (32 base-62 characters, 190 bits) only the SHA-256 is stored; a
slow hash would protect a guessable password, which this is not.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
import zlib
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec
import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout
from sqlmodel import select

from pipeline.core.clock import utc_now
from pipeline.core.database import Database
from pipeline.core.errors import ApiKeyError, DatabaseUnavailable
from pipeline.core.models import ApiKey
from pipeline.core.sessions import admin_session
from pipeline.core.tenants import get_tenant

SCOPES = ("ingest", "read")
LIVE_KEYS_PER_TENANT = 2
ALPHABET = string.digits + string.ascii_letters
FORMAT = re.compile(r"(wb_(?:ingest|read|full)_([0-9A-Za-z]{12})_([0-9A-Za-z]{32}))([0-9A-Za-z]{6})")

FIND_KEY = """
select k.tenant_id, k.secret_hash, k.scopes, t.event_types, t.status = 'suspended'
from control.api_keys as k
inner join control.tenants as t using (tenant_id)
where k.key_id = %s and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
"""
# A write per key and minute at the most, however many requests it makes.
TOUCH_KEY = """
update control.api_keys set last_used_at = now()
where key_id = %s and (last_used_at is null or last_used_at < now() - interval '1 minute')
"""


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What a verified key opens; `allowed_types` None allows any event type."""

    tenant_id: str
    key_id: str
    scopes: frozenset[str]
    allowed_types: frozenset[str] | None
    suspended: bool


class KeyVerifier(Protocol):
    """Turns what a client presents into a grant."""

    def verify(self, presented: str) -> Grant:
        """Raises ApiKeyError, the same for every cause, or DatabaseUnavailable."""
        ...


class KeyDirectory:
    """The keys of the database, looked up as the API role. Safe to call from several threads."""

    def __init__(self, pool: ConnectionPool[psycopg.Connection]) -> None:
        self._pool = pool

    def verify(self, presented: str) -> Grant:
        """The grant of a live key. Raises ApiKeyError, the same for every cause, or DatabaseUnavailable."""
        match = FORMAT.fullmatch(presented)
        if match is None or not hmac.compare_digest(checksum(match[1]), match[4]):
            raise ApiKeyError
        key_id = match[2]
        try:
            with self._pool.connection() as connection:
                row = connection.execute(FIND_KEY, (key_id,)).fetchone()
                connection.execute(TOUCH_KEY, (key_id,))
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise DatabaseUnavailable("API keys cannot be verified now: the database does not answer.") from error
        if row is None or not hmac.compare_digest(bytes(row[1]), _hash(match[3])):
            raise ApiKeyError
        tenant_id, _, scopes, types, suspended = row
        return Grant(
            tenant_id=tenant_id,
            key_id=key_id,
            scopes=frozenset(scopes),
            allowed_types=None if types is None else frozenset(types),
            suspended=suspended,
        )


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
        key_id, secret = _random(12), _random(32)
        body = f"wb_{kind}_{key_id}_{secret}"
        session.add(
            ApiKey(
                tenant_id=tenant_id,
                key_id=key_id,
                label=label,
                secret_hash=_hash(secret),
                scopes=sorted(set(scopes)),
                expires_at=expires_at,
            )
        )
        session.commit()
        return body + checksum(body)


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


def checksum(body: str) -> str:
    """CRC-32 of the key's body as six base-62 digits."""
    value, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        value, digit = divmod(value, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))
