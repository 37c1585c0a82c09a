"""Throttling: how many sign-ins may fail in a while, for an e-mail and from an address.

An attempt counts as failed from its beginning until it succeeds, so that many at once are no more
than many in turn. What is refused is neither looked at nor counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Literal

import msgspec
import psycopg

from workbench.people.errors import TooManyAttempts

WINDOW = timedelta(minutes=15)
IPV6_PREFIX = 64
"""What one subscriber has; single addresses of it are free to change."""
MOST_REMOVED = 1_000

# The row is locked by being written, whether or not it was there.
TAKE = """
insert into control.failed_sign_ins as f (kind, subject_hash, failed_at, last_failed_at)
values (%(kind)s, %(hash)s, '{}', %(now)s)
on conflict (kind, subject_hash) do update set failed_at = f.failed_at
returning failed_at
"""
KEEP = """
update control.failed_sign_ins set failed_at = %(failed_at)s, last_failed_at = %(now)s
where kind = %(kind)s and subject_hash = %(hash)s
"""
FORGET = "delete from control.failed_sign_ins where kind = %(kind)s and subject_hash = %(hash)s"
PRUNE = """
delete from control.failed_sign_ins as f
using (
    select kind, subject_hash from control.failed_sign_ins
    where last_failed_at <= %(before)s
    limit %(most)s
    for update skip locked
) as old
where f.kind = old.kind and f.subject_hash = old.subject_hash
"""


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """How many failures there may be within the window."""

    kind: Literal["address", "email"]
    most: int

    def recent(self, failures: Sequence[datetime], now: datetime) -> list[datetime]:
        """Those that still count, in order; no more than the limit."""
        return sorted(moment for moment in failures if moment > now - WINDOW)[-self.most :]

    def wait(self, failures: Sequence[datetime], now: datetime) -> timedelta:
        """How long from `now` until another attempt is looked at; zero if it is at once."""
        recent = self.recent(failures, now)
        return recent[0] + WINDOW - now if len(recent) == self.most else timedelta()


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a limit is for; what was typed is kept as its hash only."""

    limit: Limit
    hash: bytes


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that is being looked at."""

    subjects: tuple[Subject, ...]
    at: datetime
    fills: tuple[str, ...]
    """The kinds of limit that it reaches, unless it succeeds."""


PER_ADDRESS = Limit(kind="address", most=20)
PER_EMAIL = Limit(kind="email", most=5)


def subjects(*, email: str, address: str | None) -> tuple[Subject, ...]:
    """Whom an attempt counts for. The address is first: whoever locks both rows locks that one first."""
    return (of_address(address), of_email(email))


def of_address(address: str | None) -> Subject:
    """The limit of an address, or of the network that one subscriber has."""
    return Subject(limit=PER_ADDRESS, hash=_hash(_network(address)))


def of_email(email: str) -> Subject:
    """The limit of whatever was typed as the e-mail."""
    return Subject(limit=PER_EMAIL, hash=_hash(email.strip().lower()))


def begin(connection: psycopg.Connection, who: tuple[Subject, ...], now: datetime) -> Attempt:
    """Count an attempt as failed for now, in a transaction of its own. Raises TooManyAttempts."""
    connection.execute(PRUNE, {"before": now - WINDOW, "most": MOST_REMOVED})
    with connection.transaction():
        fills = [subject.limit.kind for subject in who if _count(connection, subject, now)]
    return Attempt(subjects=who, at=now, fills=tuple(fills))


def succeed(connection: psycopg.Connection, attempt: Attempt) -> None:
    """Take an attempt back, and all that failed for its e-mail, within the caller's transaction."""
    for subject in attempt.subjects:
        if subject.limit is PER_EMAIL:
            forget(connection, subject)
            continue
        failures = _take(connection, subject, attempt.at)
        if attempt.at in failures:
            failures.remove(attempt.at)
        if failures:
            _keep(connection, subject, failures, max(failures))
        else:
            forget(connection, subject)


def forget(connection: psycopg.Connection, subject: Subject) -> None:
    """Let somebody try again at once, within the caller's transaction."""
    connection.execute(FORGET, {"kind": subject.limit.kind, "hash": subject.hash})


def _count(connection: psycopg.Connection, subject: Subject, now: datetime) -> bool:
    """Count one more; whether that is the last that is looked at for now."""
    failures = _take(connection, subject, now)
    if wait := subject.limit.wait(failures, now):
        raise TooManyAttempts(wait.total_seconds())
    counted = [*subject.limit.recent(failures, now), now]
    _keep(connection, subject, counted, now)
    return len(counted) == subject.limit.most


def _take(connection: psycopg.Connection, subject: Subject, now: datetime) -> list[datetime]:
    row = connection.execute(TAKE, {"kind": subject.limit.kind, "hash": subject.hash, "now": now}).fetchone()
    return [] if row is None else row[0]


def _keep(connection: psycopg.Connection, subject: Subject, failed_at: list[datetime], now: datetime) -> None:
    values = {"kind": subject.limit.kind, "hash": subject.hash, "failed_at": failed_at, "now": now}
    connection.execute(KEEP, values)


def _network(address: str | None) -> str:
    try:
        known = ip_address(address or "")
    except ValueError:
        return ""
    if not isinstance(known, IPv6Address):
        return str(known)
    if known.ipv4_mapped is not None:
        return str(known.ipv4_mapped)
    return str(ip_network((known, IPV6_PREFIX), strict=False))


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()
