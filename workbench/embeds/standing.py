"""With what embed tokens are made: the keys that sign tenant tokens, the secret that Metabase has, the dashboards.

Neither a key nor a secret is read: a key by its id, the secret by its generation.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec
import psycopg
from psycopg.rows import class_row

from pipeline.core.metabase import MOST_TOKEN_SECONDS

MARGIN = timedelta(seconds=60)
"""A token may have been signed by the older key while the newer one was being committed."""
LONGEST_LIFE = timedelta(seconds=MOST_TOKEN_SECONDS) + MARGIN

KEYS = """
select
    k.key_id,
    k.created_at,
    k.retired_at,
    min(k.created_at) filter (where k.retired_at is null) over (
        order by k.created_at, k.key_id rows between 1 following and unbounded following
    ) as followed_at
from control.signing_keys as k
order by k.created_at desc, k.key_id desc
"""
STATE = "select site_url, secret_generation, next_generation, changed_at from control.metabase_state"
DASHBOARDS = "select slug, dashboard_id, title, embedded from control.dashboards order by slug"
TOKENS = """
select count(*) from control.audit_log where action = 'embed_token' and at > clock_timestamp() - interval '1 day'
"""


class KeyState(StrEnum):
    """What a signing key still does."""

    SIGNS = "signs"
    VERIFIES = "verifies"
    RETIRED = "retired"


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that signs tenant tokens. `followed_at` is when a newer one took over."""

    key_id: str
    created_at: datetime
    retired_at: datetime | None
    followed_at: datetime | None

    @property
    def state(self) -> KeyState:
        """What it still does: of those that are not retired, the newest signs."""
        if self.retired_at is not None:
            return KeyState.RETIRED
        return KeyState.SIGNS if self.followed_at is None else KeyState.VERIFIES

    @property
    def last_token_ends_at(self) -> datetime | None:
        """From when on no token of its can be alive; None while it signs."""
        return None if self.followed_at is None else self.followed_at + LONGEST_LIFE


class SecretState(msgspec.Struct, frozen=True, kw_only=True):
    """Which generation of the embedding secret is in use, and which one is being given to Metabase, if any."""

    site_url: str
    secret_generation: int
    next_generation: int | None
    changed_at: datetime


class KnownDashboard(msgspec.Struct, frozen=True, kw_only=True):
    """A dashboard that was applied, and whether it may be embedded."""

    slug: str
    dashboard_id: int
    title: str
    embedded: bool


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; `secret` is None before Metabase is set up."""

    secret: SecretState | None
    keys: tuple[SigningKey, ...]
    """The newest first."""
    dashboards: tuple[KnownDashboard, ...]
    tokens_of_a_day: int


def read_standing(connection: psycopg.Connection) -> Standing:
    """How it stands, as an administrator."""
    told = connection.execute(TOKENS).fetchone()
    assert told is not None
    return Standing(
        secret=read_secret_state(connection),
        keys=read_keys(connection),
        dashboards=tuple(connection.cursor(row_factory=class_row(KnownDashboard)).execute(DASHBOARDS)),
        tokens_of_a_day=told[0],
    )


def read_keys(connection: psycopg.Connection) -> tuple[SigningKey, ...]:
    """All signing keys, the newest first, as an administrator."""
    return tuple(connection.cursor(row_factory=class_row(SigningKey)).execute(KEYS))


def read_secret_state(connection: psycopg.Connection, *, locked: bool = False) -> SecretState | None:
    """Of the embedding secret, as an administrator; `locked` until the transaction's end. None before it is set up."""
    statement = STATE + (" for update" if locked else "")
    return connection.cursor(row_factory=class_row(SecretState)).execute(statement).fetchone()
