"""The keys that sign tenant tokens: they are made here, and used and kept in the database alone.

A key is stored as the two padded blocks of HMAC (RFC 2104), with which `control.issue_tenant_token` signs and
`control.current_tenant` verifies. The newest key that is not retired signs; all that are not retired verify.
"""

from __future__ import annotations

import secrets

import psycopg

KEY_BYTES = 64
"""The block of SHA-256, so that a key is used as it is."""
INNER_PAD, OUTER_PAD = 0x36, 0x5C

ADD = """
insert into control.signing_keys (key_id, inner_pad, outer_pad, created_at)
values (%s, %s, %s, clock_timestamp())
"""
SOME_KEY_SIGNS = "select exists (select from control.signing_keys where retired_at is null)"


def add_signing_key(connection: psycopg.Connection) -> str:
    """Make a key that signs from the transaction's commit on, as an administrator; answers its id."""
    key_id, key = secrets.token_hex(6), secrets.token_bytes(KEY_BYTES)
    connection.execute(ADD, (key_id, _xor(key, INNER_PAD), _xor(key, OUTER_PAD)))
    return key_id


def ensure_signing_key(connection: psycopg.Connection) -> None:
    """Make a key if there is none that signs, as an administrator."""
    if connection.execute(SOME_KEY_SIGNS).fetchone() != (True,):
        add_signing_key(connection)


def _xor(key: bytes, pad: int) -> bytes:
    return bytes(byte ^ pad for byte in key)
