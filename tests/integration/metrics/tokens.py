"""Tokens for tests: issued by the database, and signed by hand with a key that it knows."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

from pipeline.core.database import Database, ServiceRole
from pipeline.core.metrics.reading import issue_token

Sign = Callable[..., str]


def issued(database: Database, tenant_id: str, *, seconds: int = 60) -> str:
    """A token as the API has it issued."""
    with database.connect(ServiceRole.API) as connection:
        return issue_token(connection, tenant_id, seconds=seconds)


def signer(database: Database, *, key_id: str = "k1") -> Sign:
    """Signs anything with a key that is put into the database."""
    key = secrets.token_bytes(64)
    with database.connect_admin() as connection:
        connection.execute(
            "insert into control.signing_keys (key_id, inner_pad, outer_pad) values (%s, %s, %s)",
            (key_id, bytes(b ^ 0x36 for b in key), bytes(b ^ 0x5C for b in key)),
        )

    def sign(tenant: str = "acme", *, expires_in: float = 60, key_id: str = key_id, algorithm: str = "sha256") -> str:
        body = f"{tenant}|{int(time.time() + expires_in)}|{key_id}"
        return f"{body}|{hmac.digest(key, body.encode(), getattr(hashlib, algorithm)).hex()}"

    return sign
