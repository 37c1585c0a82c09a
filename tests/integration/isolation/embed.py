"""Two tenants with rows in everything, seen as the embed role sees them: through tokens alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from pipeline.core.database import Database, ServiceRole
from pipeline.core.metrics.catalog import read_metrics
from tests.integration.isolation.conftest import ROWS, Tenant, two_tenants
from tests.integration.isolation.test_relations import assert_silent
from tests.integration.metrics.tokens import Sign, signer

METRICS = [metric.name for metric in read_metrics()]
CALL = "select * from metrics.{name}(%s, '2026-03-01', '2026-04-01')"
EXPECTED = "select event_type, events from marts.tenant_usage_metrics where tenant_id = %s order by day, event_type"
TELLING = "select event_type, events from metrics.events({token}, '2026-03-01', '2026-04-01', 'day', 'event_type')"
"""A query whose rows tell whose they are: each event type bears its tenant's marker."""

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """A database with both tenants, and a way to sign tokens, right ones and wrong ones."""

    database: Database
    tenants: dict[str, Tenant]
    sign: Sign
    expected: dict[str, Rows] = field(default_factory=dict)
    """What TELLING answers each tenant, as the owner of all counts it."""

    def connect(self, role: ServiceRole = ServiceRole.EMBED, *, autocommit: bool = True) -> psycopg.Connection:
        return self.database.connect(role, autocommit=autocommit, application="tests")


def embedding(database: Database) -> Embedding:
    """Both tenants in a fresh database, their figures counted past all walls."""
    tenants = {tenant.tenant_id: tenant for tenant in two_tenants(database)}
    made = Embedding(database=database, tenants=tenants, sign=signer(database))
    with database.connect_admin() as admin:
        for tenant in ROWS:
            made.expected[tenant] = admin.execute(EXPECTED, (tenant,)).fetchall()
    assert all(len(made.expected[tenant]) == rows for tenant, rows in ROWS.items())
    return made


def telling(token: str) -> bytes:
    """TELLING with a token as a literal, as nobody should write it."""
    return TELLING.format(token=sql.Literal(token).as_string(None)).encode()


def assert_refused(error: psycopg.Error, tenant: Tenant, token: str | None) -> None:
    """An error that says nothing of anybody, nor repeats what was presented."""
    text = f"{error} {error.diag.message_detail} {error.diag.message_hint} {error.diag.context}"
    assert "The tenant token is missing, expired or not valid." in text
    assert_silent(text, tenant)
    assert token is None or len(token) < 10 or token not in text
