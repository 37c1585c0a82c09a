"""Sign-in sessions: a random token in a cookie, of which the database knows the hash.

A session ends by itself when it is not used for a while, and after a time however much it is used.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import datetime, timedelta

import msgspec
import psycopg
from psycopg.rows import class_row

from workbench.people.principal import Client, Principal
from workbench.people.statements import (
    FIND_SESSION,
    FORGET_OLD_SESSIONS,
    OPEN_SESSION,
    TOUCH_SESSION,
)

TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
TOKEN_BYTES = 32
KEPT = timedelta(days=90)
"""For how long a session is still listed after its end."""
SEEN_TO = timedelta(minutes=1)


class SessionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How long a session lasts."""

    idle: timedelta = timedelta(hours=2)
    """Without use; a use is noted to the minute, or to a tenth of this where that is less."""
    absolute: timedelta = timedelta(hours=12)
    """From the sign-in."""

    @classmethod
    def lasting(cls, absolute: timedelta) -> SessionLimits:
        """Those of a session that lasts this long at most, and no longer than usual without use."""
        return cls(idle=min(cls().idle, absolute), absolute=absolute)


def open_session(
    connection: psycopg.Connection, principal: Principal, client: Client, limits: SessionLimits, now: datetime
) -> str:
    """Open a session within the caller's transaction, and answer its token."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    values = {
        "token_hash": token_hash(token),
        "user_id": principal.user_id,
        "now": now,
        "expires_at": now + limits.absolute,
        "address": client.address,
        "client": client.note,
    }
    connection.execute(OPEN_SESSION, values)
    connection.execute(FORGET_OLD_SESSIONS, {"user_id": principal.user_id, "before": now - KEPT})
    return token


def find(connection: psycopg.Connection, token: str, limits: SessionLimits, now: datetime) -> Principal | None:
    """Whose session it is, if it is open and its user may still enter."""
    if TOKEN.fullmatch(token) is None:
        return None
    values = {"token_hash": token_hash(token), "now": now, "unused_since": now - limits.idle}
    cursor = connection.cursor(row_factory=class_row(Principal))
    return cursor.execute(FIND_SESSION.encode(), values).fetchone()


def touch(connection: psycopg.Connection, token: str, limits: SessionLimits, now: datetime) -> None:
    """Note that the session is in use: a write per minute at the most."""
    seen_before = now - min(SEEN_TO, limits.idle / 10)
    connection.execute(TOUCH_SESSION, {"token_hash": token_hash(token), "now": now, "seen_before": seen_before})


def token_hash(token: str) -> bytes:
    """What is kept of a token; a slow hash would protect a guessable one, which this is not."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
