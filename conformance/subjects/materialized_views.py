"""Materialized views, refreshed concurrently, all in one transaction, and checked before it commits.

Row security cannot be enabled on a materialized view: what keeps tenants apart is a view with their
condition, and that tenants may read nothing else.
"""

from __future__ import annotations

import psycopg

from conformance.port import Published, Unsupported
from conformance.subjects.marts_sql import CHECKS, KEYS, MARTS, OWN_METRICS
from conformance.subjects.warehouse import ANALYST, READING, SCHEMA, TENANT, Warehouse

OWN_VIEW = f"""
create view {READING.own_metrics} with (security_barrier = true) as
{OWN_METRICS.format(metrics=READING.metrics)} where tenant_id = (select current_setting('app.tenant', true));
grant select on {READING.own_metrics} to {TENANT};
"""


class _Failing(Exception):
    """Rolls the refresh back."""


class MaterializedViews(Warehouse):
    """Three materialized views, one upon the other."""

    name = "matview refresh"
    reading = READING

    def prepare(self) -> None:
        """Roles, schema, and the views with unique indexes, which concurrent refreshes need."""
        super().prepare()
        with self.builder() as connection:
            for mart, query in MARTS.items():
                view = f"{SCHEMA}.{mart}"
                _run(connection, f"create materialized view {view} as {query.format(facts=READING.facts)}")
                _run(connection, f"create unique index {mart}_key on {view} ({KEYS[mart]})")
                _run(connection, f"grant select on {view} to {ANALYST}")
            _run(connection, OWN_VIEW)

    def publish(self, *, full_refresh: bool = False) -> Published:  # noqa: ARG002 - a refresh is always full
        """Refresh, check, commit."""
        try:
            with self.builder() as connection:
                for mart in MARTS:
                    _run(connection, f"refresh materialized view concurrently {SCHEMA}.{mart}")
                self._check(connection)
        except _Failing as failing:
            return Published(ok=False, told=f"rolled back: {failing}")
        except psycopg.Error as error:
            return Published(ok=False, told=f"{type(error).__name__}: {str(error).splitlines()[0]}")
        return Published(ok=True, told="refreshed")

    def undo(self, publications: int) -> None:  # noqa: ARG002
        """There is nothing to go back to."""
        raise Unsupported("none: a view holds what its query gives")

    def _check(self, connection: psycopg.Connection) -> None:
        names = {"facts": READING.facts, "metrics": READING.metrics}
        for name, query in CHECKS.items():
            found = connection.execute(query.format(**names).encode()).fetchall()[0][0]
            if found:
                raise _Failing(f"{name}: {found:,} failing rows")


def _run(connection: psycopg.Connection, statement: str) -> None:
    """Statements of this module's constants; nothing in them comes from outside."""
    connection.execute(statement.encode())
