"""The security fingerprint: what of the catalog decides who may read what, as a list of facts.

A deployment records it; `workbench doctor` and every promotion collect it again and refuse on any
difference. It covers our schemas, their tables, views, policies, grants, owners, functions and
indexes, the service roles and their memberships, and what PUBLIC may do. Tenants come and go
without changing it, as long as their logins are plain members of their one group.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files

import psycopg
from psycopg.types.json import Jsonb

from pipeline.core.errors import DeploymentError, FingerprintMismatch

MOST_DIFFERENCES_TOLD = 10


def collect(connection: psycopg.Connection) -> list[str]:
    """The facts, sorted; each a line `kind name: detail`. Any role may collect them."""
    query = (files("pipeline.core.migrations") / "sql" / "fingerprint.sql").read_text()
    with connection.transaction():
        # Without a search path every name is printed in full, whoever asks.
        connection.execute("set local search_path = ''")
        rows = connection.execute(query.encode()).fetchall()
    return sorted(row[0] for row in rows)


def digest(facts: list[str]) -> str:
    """SHA-256 over the facts, in hex."""
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


def record(connection: psycopg.Connection, *, version: str) -> str:
    """Store the facts as they are now as a release's own, unless they are the latest already."""
    facts = collect(connection)
    found = digest(facts)
    latest = connection.execute("select fingerprint from control.releases order by release_id desc limit 1").fetchone()
    if latest is None or latest[0] != found:
        connection.execute(
            "insert into control.releases (version, fingerprint, facts) values (%s, %s, %s)",
            (version, found, Jsonb(facts)),
        )
    return found


def verify(connection: psycopg.Connection) -> str:
    """The fingerprint, if it is what the latest release recorded.

    Raises DeploymentError before the first deployment, FingerprintMismatch with the differing facts.
    """
    row = connection.execute("select facts from control.releases order by release_id desc limit 1").fetchone()
    if row is None:
        raise DeploymentError("The database has no release on record.", remedy="Run `workbench db migrate`.")
    facts = collect(connection)
    if facts != row[0]:
        raise FingerprintMismatch(
            f"The database's security differs from what was deployed:\n{_difference(row[0], facts)}",
            remedy="Undo the change, or deploy again with `workbench db migrate` if it was meant.",
        )
    return digest(facts)


def _difference(deployed: list[str], found: list[str]) -> str:
    lines = [f"  gone:  {fact}" for fact in sorted(set(deployed) - set(found))]
    lines += [f"  new:   {fact}" for fact in sorted(set(found) - set(deployed))]
    more = len(lines) - MOST_DIFFERENCES_TOLD
    return "\n".join(lines[:MOST_DIFFERENCES_TOLD] + ([f"  and {more} more"] if more > 0 else []))
