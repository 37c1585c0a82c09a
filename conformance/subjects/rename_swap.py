"""Build and rename: new tables beside the old ones, checked, and swapped in by `alter table ... rename`.

As a careful engineer writes it: keys, policies and grants are put on the new tables, all are renamed in
one transaction, with a lock timeout and retries so that a long reader stalls others for a moment only,
and the old tables stay until the next time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import psycopg
from psycopg import sql

from conformance.port import Published, Unsupported
from conformance.subjects.marts_sql import CHECKS, KEYS, MARTS, OWN_METRICS
from conformance.subjects.warehouse import READING, SCHEMA, Warehouse

LOCK_TIMEOUT = "200ms"
GIVE_UP_SECONDS = 60.0
PAUSE_SECONDS = 0.2

OWN_VIEW = f"""
create or replace view {READING.own_metrics} with (security_invoker = true, security_barrier = true) as
{OWN_METRICS.format(metrics=READING.metrics)}
"""


class RenameSwap(Warehouse):
    """Three tables built anew each time."""

    name = "rename swap"
    reading = READING

    def prepare(self) -> None:
        """Roles and schema; the tables come with the first publication."""
        super().prepare()

    def publish(self, *, full_refresh: bool = False) -> Published:  # noqa: ARG002 - it always builds everything
        """Build, check, swap."""
        try:
            with self.builder(autocommit=True) as connection:
                self._build(connection)
                failing = self._check(connection)
                if failing:
                    return Published(ok=False, told=f"not swapped in: {', '.join(failing)}")
                self._swap(connection, "_new", "_old")
        except psycopg.Error as error:
            return Published(ok=False, told=f"{type(error).__name__}: {str(error).splitlines()[0]}")
        return Published(ok=True, told="swapped in")

    def undo(self, publications: int) -> None:
        """The old tables are still there, once."""
        if publications > 1:
            raise Unsupported("only the tables before the last swap are kept")
        with self.builder(autocommit=True) as connection:
            self._swap(connection, "_old", "_undone")

    def _build(self, connection: psycopg.Connection) -> None:
        for mart, query in MARTS.items():
            for suffix in ("_new", "_old", "_undone"):
                _run(connection, f"drop table if exists {SCHEMA}.{mart}{suffix} cascade")
            facts = f"{SCHEMA}.fct_usage_events_new"
            _run(connection, f"create table {SCHEMA}.{mart}_new as {query.format(facts=facts)}")
            _run(connection, f"alter table {SCHEMA}.{mart}_new add primary key ({KEYS[mart]})")
            connection.execute(self.protect(f"{mart}_new", grant=True))
            _run(connection, f"analyze {SCHEMA}.{mart}_new")

    def _check(self, connection: psycopg.Connection) -> list[str]:
        names = {"facts": f"{SCHEMA}.fct_usage_events_new", "metrics": f"{SCHEMA}.tenant_usage_metrics_new"}
        return [
            f"{name}: {found:,} failing rows"
            for name, query in CHECKS.items()
            if (found := connection.execute(query.format(**names).encode()).fetchall()[0][0])
        ]

    def _swap(self, connection: psycopg.Connection, incoming: str, outgoing: str) -> None:
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while True:
            try:
                with connection.transaction():
                    _run(connection, f"set local lock_timeout = '{LOCK_TIMEOUT}'")
                    self._rename(connection, incoming, outgoing)
            except psycopg.errors.LockNotAvailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(PAUSE_SECONDS)
            else:
                return

    def _rename(self, connection: psycopg.Connection, incoming: str, outgoing: str) -> None:
        for mart in MARTS:
            _run(connection, f"alter table if exists {SCHEMA}.{mart} rename to {mart}{outgoing}")
            _run(connection, f"alter table {SCHEMA}.{mart}{incoming} rename to {mart}")
        _run(connection, OWN_VIEW)
        connection.execute(
            sql.SQL("grant select on {} to conformance_tenant").format(sql.Identifier(SCHEMA, "own_usage_metrics"))
        )


def _run(connection: psycopg.Connection, *statements: str) -> None:
    for statement in _each(statements):
        connection.execute(statement)


def _each(statements: Iterable[str]) -> Iterable[bytes]:
    """Statements of this module's constants; nothing in them comes from outside."""
    return (statement.encode() for statement in statements)
