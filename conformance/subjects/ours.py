"""The workbench: its promoter, its models and its gate, as `workbench promote` runs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from checks.gate import ExpectationsGate
from conformance.port import Published, Reading, Relation
from pipeline.core.clock import utc_now
from pipeline.core.database import Database, ServiceRole, connect
from pipeline.core.errors import WorkbenchError
from pipeline.core.tenants import tenant_login
from pipeline.promote.marts import read_cached_views, read_marts
from pipeline.promote.promoter import Promoter
from workbench.cli.context import DBT_DIR

READING = Reading(
    facts=Relation("marts", "fct_usage_events"),
    metrics=Relation("marts", "tenant_usage_metrics"),
    users=Relation("marts", "dim_users"),
    own_metrics=Relation("analytics", "tenant_usage_metrics"),
    more=(
        *(Relation(schema, mart.name) for mart in read_marts(DBT_DIR) for schema in ("marts", "analytics")),
        *(Relation("cache", view.name) for view in read_cached_views(DBT_DIR)),
    ),
)


class Ours:
    """Candidates, a verdict per tenant, and one transaction of DML over all marts."""

    name = "workbench"
    reading = READING

    def __init__(self, database: Database) -> None:
        self._database = database
        self._promoter = Promoter(database, ExpectationsGate(database.url(ServiceRole.PUBLISHER)), DBT_DIR, utc_now)
        self._published: list[int] = []

    def prepare(self) -> None:
        """Nothing: the database is deployed."""

    def publish(self, *, full_refresh: bool = False) -> Published:
        """A promotion of whoever has new data, or of everybody."""
        try:
            promotion = self._promoter.promote(full_refresh=full_refresh)
        except WorkbenchError as error:
            return Published(ok=False, told=f"{type(error).__name__}: {error.message}")
        if promotion.promoted:
            self._published.append(promotion.id)
        reasons = {finding.rule for hold in promotion.held.values() for finding in hold.findings}
        told = f"held {', '.join(promotion.held)}: {', '.join(sorted(reasons))}" if promotion.held else "published"
        return Published(ok=not promotion.held, told=told)

    def undo(self, publications: int) -> None:
        """By the journal, newest first."""
        oldest = self._published[-publications]
        self._promoter.rollback(oldest, actor="conformance", reason="undone by the kit", cascade=publications > 1)
        del self._published[-publications:]

    def blind(self) -> None:
        """dbt's role loses its policy on the landed rows."""
        with self._database.connect_admin() as admin:
            admin.execute("drop policy transforms on raw.usage_events")

    @contextmanager
    def as_analyst(self) -> Iterator[psycopg.Connection]:
        """The role of BI tools."""
        with self._database.connect(ServiceRole.BI, autocommit=True) as connection:
            yield connection

    @contextmanager
    def as_tenant(self, tenant: str) -> Iterator[psycopg.Connection]:
        """The tenant's own login."""
        url = self._database.login_url(tenant_login(self._database, tenant))
        with connect(url, autocommit=True, application="conformance") as connection:
            yield connection
