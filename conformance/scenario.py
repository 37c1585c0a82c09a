"""A scenario: promises, and what is done to a subject to see whether it keeps them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
import psycopg

from conformance.landing import Landing
from conformance.port import Answers, Published, Reading, Subject
from pipeline.core.database import Database

TOTALS = "select (select count(*) from {facts}), coalesce((select sum(events)::bigint from {metrics}), 0)"
PER_TENANT = "select tenant_id, count(*) from {facts} group by tenant_id"
CONTENT = "select md5(coalesce(string_agg(t::text, ',' order by t::text), '')) from {table} as t"


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """How much is done: publications under readers, seconds for which an open reader is waited for, sizes."""

    publications: int = 10
    sessions: int = 20
    """Of each tenant in a landing; ten events each."""
    patience_seconds: float = 3.0
    sizes: tuple[int, int] = (25_000, 400_000)
    """Facts before the same small delta is published, smaller and larger."""
    delta: int = 2_000


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One subject on its database, as a scenario acts on it."""

    database: Database
    subject: Subject
    landing: Landing
    effort: Effort

    @property
    def reading(self) -> Reading:
        """Where its readers read."""
        return self.subject.reading

    def land(self, *tenants: str, bad: bool = False) -> int:
        """Land the usual number of sessions of each; tells how many events."""
        return self.landing.land(tenants, self.effort.sessions, bad=bad)

    def publish(self) -> Published:
        """Publish, and raise if it did not go through: what a scenario builds upon."""
        published = self.subject.publish()
        if not published.ok:
            raise AssertionError(f"{self.subject.name} did not publish good data: {published.told}")
        return published

    def totals(self) -> tuple[int, int]:
        """The number of facts and the sum of metrics, as the analyst reads them."""
        with self.subject.as_analyst() as connection:
            return self.totals_on(connection)

    def totals_on(self, connection: psycopg.Connection) -> tuple[int, int]:
        """The same on a reader's own connection."""
        row = connection.execute(self._query(TOTALS)).fetchall()[0]
        return row[0], row[1]

    def facts_by_tenant(self) -> Mapping[str, int]:
        """Tenant to published facts."""
        with self.subject.as_analyst() as connection:
            return dict(connection.execute(self._query(PER_TENANT)).fetchall())

    def contents(self) -> Sequence[str]:
        """A hash over the rows of each table."""
        with self.subject.as_analyst() as connection:
            queries = [CONTENT.format(table=table).encode() for table in self.reading.tables]
            return [connection.execute(query).fetchall()[0][0] for query in queries]

    def _query(self, query: str) -> bytes:
        return query.format(facts=self.reading.facts, metrics=self.reading.metrics).encode()


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """`run` answers each of `promises`, on a subject that has published nothing yet."""

    name: str
    promises: tuple[str, ...]
    run: Callable[[Trial], Answers]


def told(totals: tuple[int, int]) -> str:
    """Totals in words."""
    return f"{totals[0]:,} facts, {totals[1]:,} in the metrics"
