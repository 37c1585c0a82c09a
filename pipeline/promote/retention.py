"""Retention: how long promotions can be undone, and how long they can be looked up.

What is past its time is removed promotion by promotion, a few after each promotion, so the work
follows what is new. What a tenant's published rows rest on is never removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import psycopg
from psycopg import sql

from pipeline.promote.marts import Mart

AT_ONCE = 10
"""Promotions tidied after one: more than one an hour comes to, so that it catches up."""

UNDOABLE_NO_MORE = """
select promotion_id from control.promotions
where journal_pruned_at is null and finished_at < clock_timestamp() - %(age)s
order by promotion_id
limit %(most)s
"""
FORGET = sql.SQL("""delete from {journal} as j
using control.promotion_tenants as t
where t.promotion_id = %(promotion)s and j.{tenant} = t.tenant_id and j.promotion_id = t.promotion_id""")
MARK = "update control.promotions set journal_pruned_at = clock_timestamp() where promotion_id = %(promotion)s"

# A promotion goes once nothing rests on it: no tenant's figures, and no hold.
PAST = """
select p.promotion_id from control.promotions as p
where
    p.finished_at < clock_timestamp() - %(age)s
    and p.journal_pruned_at is not null
    and not exists (select from control.promotion_progress as g where g.promotion_id = p.promotion_id)
    and not exists (select from control.holds as h where h.state = 'open' and p.promotion_id = any(h.promotions))
order by p.promotion_id
limit %(most)s
"""
PARTS = ("check_results", "promotion_checks", "promotion_changes", "promotion_tenants", "promotions")
DELETE = sql.SQL("delete from {} where promotion_id = %(promotion)s")


@dataclass(frozen=True, kw_only=True)
class Keeper:
    """Keeps journals for `undo`, and the history of promotions for `history`, which is not shorter."""

    undo: timedelta = timedelta(days=14)
    history: timedelta = timedelta(days=90)

    def tidy(self, connection: psycopg.Connection, marts: Sequence[Mart]) -> tuple[str, ...]:
        """Remove a few promotions' journals, and a few promotions, that are past their time.

        Answers a warning if that failed: what was published is, and the next promotion tries again.
        """
        try:
            self._tidy(connection, marts)
        except psycopg.Error as error:
            if connection.broken:
                raise
            return (f"What is past its time could not be removed, which the next promotion tries again: {error}",)
        return ()

    def _tidy(self, connection: psycopg.Connection, marts: Sequence[Mart]) -> None:
        for promotion in _ids(connection, UNDOABLE_NO_MORE, self.undo):
            with connection.transaction():
                for mart in marts:
                    statement = FORGET.format(
                        journal=sql.Identifier("journal", mart.name), tenant=sql.Identifier(mart.tenant_column)
                    )
                    connection.execute(statement, promotion)
                connection.execute(MARK, promotion)
        for promotion in _ids(connection, PAST, max(self.history, self.undo)):
            with connection.transaction():
                for table in PARTS:
                    connection.execute(DELETE.format(sql.Identifier("control", table)), promotion)


def _ids(connection: psycopg.Connection, query: str, age: timedelta) -> list[dict[str, int]]:
    rows = connection.execute(query, {"age": age, "most": AT_ONCE}).fetchall()
    return [{"promotion": row[0]} for row in rows]
