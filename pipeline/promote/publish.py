"""Publishing: all marts change in one transaction, or none does.

It is DML in a fixed order. What it writes is what was judged, and it writes only while the
promotion is the newest and judged, and the database's security is what was deployed; all of that is
verified inside the transaction. What it overwrites is noted in the journal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg

from pipeline.core import fingerprint
from pipeline.promote import candidate, holds, ledger
from pipeline.promote.journal import note, note_statements
from pipeline.promote.marts import Mart
from pipeline.promote.merge import merge_statements
from pipeline.promote.promotion import Plan, Request, Seal, Window
from pipeline.promote.snapshot import in_one_snapshot
from pipeline.promote.steps import Tell


@dataclass(frozen=True, kw_only=True)
class Published:
    """Rows that changed, per mart."""

    written: Mapping[str, int]
    deleted: Mapping[str, int]


def publish(
    connection: psycopg.Connection,
    plan: Plan,
    request: Request,
    *,
    promoted: Sequence[Window],
    marts: Sequence[Mart],
    seals: Mapping[str, Seal],
    reached: Tell,
) -> Published:
    """Bring the promoted tenants' candidates into the marts, on the autocommit connection that holds the lock.

    Raises PromotionError if the candidate is not what was judged or another promotion took over, and
    FingerprintMismatch if somebody has loosened what keeps tenants apart.
    """

    def work() -> Published:
        ledger.claim(connection, plan.promotion_id)
        fingerprint.verify(connection)
        candidate.verify(connection, seals)
        reached("claimed")
        published = _write(connection, plan, promoted, marts, reached)
        ledger.record_published(
            connection, plan, written=sum(published.written.values()), deleted=sum(published.deleted.values())
        )
        holds.record(connection, plan.promotion_id, request)
        reached("recorded")
        return published

    return in_one_snapshot(connection, work)


def _write(
    connection: psycopg.Connection, plan: Plan, promoted: Sequence[Window], marts: Sequence[Mart], reached: Tell
) -> Published:
    values = {"promotion": plan.promotion_id}
    written, deleted = ({mart.name: 0 for mart in marts} for _ in range(2))
    for mart in marts:
        merge, notes = merge_statements(mart), note_statements(mart)
        if any(not window.full_refresh for window in plan.windows):
            note(connection, notes.continued, plan.promotion_id)
        if any(window.full_refresh for window in plan.windows):
            note(connection, notes.refreshed, plan.promotion_id)
        reached(f"noted {mart.name}")
        if any(not window.full_refresh for window in promoted):
            written[mart.name] += connection.execute(merge.continuation, values).rowcount
        if any(window.full_refresh for window in promoted):
            deleted[mart.name] += connection.execute(merge.deletion, values).rowcount
            written[mart.name] += connection.execute(merge.replacement, values).rowcount
        reached(f"merged {mart.name}")
    return Published(written=written, deleted=deleted)
