"""Publishing: all marts change in one transaction, or none does.

It is DML in a fixed order. What it writes is what was judged, and it writes only while the
promotion is the newest and judged; both are verified inside the transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import psycopg

from pipeline.promote import candidate, ledger
from pipeline.promote.marts import Mart
from pipeline.promote.merge import Merge, merge_statements
from pipeline.promote.promotion import Plan, Seal, Window

ATTEMPTS = 3
UNDONE_BY_THE_SERVER = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Published:
    """Rows that changed, per mart."""

    written: Mapping[str, int]
    deleted: Mapping[str, int]


def publish(
    connection: psycopg.Connection,
    plan: Plan,
    *,
    passed: Sequence[Window],
    marts: Sequence[Mart],
    seals: Mapping[str, Seal],
) -> Published:
    """Bring the passed tenants' candidates into the marts, on the autocommit connection that holds the lock.

    Raises PromotionError if the candidate is not what was judged or another promotion took over.
    """
    merges = [merge_statements(mart) for mart in marts]

    def work() -> Published:
        ledger.claim(connection, plan.promotion_id)
        candidate.verify(connection, seals)
        published = _merge(connection, plan, passed, merges)
        ledger.record_published(
            connection, plan, written=sum(published.written.values()), deleted=sum(published.deleted.values())
        )
        return published

    return _in_one_snapshot(connection, work)


def _merge(connection: psycopg.Connection, plan: Plan, passed: Sequence[Window], merges: Sequence[Merge]) -> Published:
    values = {"promotion": plan.promotion_id}
    written = {merge.mart: 0 for merge in merges}
    deleted = dict(written)
    for merge in merges:
        if any(not window.full_refresh for window in passed):
            written[merge.mart] += connection.execute(merge.continuation, values).rowcount
        if any(window.full_refresh for window in passed):
            deleted[merge.mart] += connection.execute(merge.deletion, values).rowcount
            written[merge.mart] += connection.execute(merge.replacement, values).rowcount
    return Published(written=written, deleted=deleted)


def _in_one_snapshot(connection: psycopg.Connection, work: Callable[[], T]) -> T:
    """Do the work in a REPEATABLE READ transaction, again if somebody else touched the same rows."""
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    attempt = 1
    while True:
        try:
            with connection.transaction():
                return work()
        except UNDONE_BY_THE_SERVER:
            if attempt == ATTEMPTS:
                raise
            attempt += 1
