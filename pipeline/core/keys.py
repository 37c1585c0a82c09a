"""API keys: what one looks like, and what it opens. Making and revoking them is in `key_register.py`.

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
from typing import Protocol

import msgspec
import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from pipeline.core.errors import ApiKeyError, DatabaseUnavailable

ALPHABET = string.digits + string.ascii_letters
FORMAT = re.compile(r"(wb_(?:ingest|read|full)_([0-9A-Za-z]{12})_([0-9A-Za-z]{32}))([0-9A-Za-z]{6})")

FIND_KEY = """
select k.tenant_id, k.secret_hash, k.scopes, t.event_types, t.status = 'suspended', t.shards
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
    shards: int = 1
    """Over how many partitions of the stream the tenant's events are spread."""


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
        tenant_id, _, scopes, types, suspended, shards = row
        return Grant(
            tenant_id=tenant_id,
            key_id=key_id,
            scopes=frozenset(scopes),
            allowed_types=None if types is None else frozenset(types),
            suspended=suspended,
            shards=shards,
        )


def checksum(body: str) -> str:
    """CRC-32 of the key's body as six base-62 digits."""
    value, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        value, digit = divmod(value, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


def mint(kind: str, key_id: str) -> tuple[str, bytes]:
    """A new key of a type, and the hash of its secret, which is all that is kept of it."""
    secret = random_text(32)
    body = f"wb_{kind}_{key_id}_{secret}"
    return body + checksum(body), _hash(secret)


def random_text(length: int) -> str:
    """Random base-62 characters, fit for a secret."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
