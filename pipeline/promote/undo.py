"""Undo: the marts of some tenants back to what they were before a promotion, by the journal.

Per tenant, promotions are a chain: the last is undone first. Before and after, the rows are compared,
by their hashes, with what the promotion recorded when it wrote them; a difference undoes the undoing.
The work is in proportion to what the promotion had changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import class_row

from pipeline.core import audit, fingerprint
from pipeline.core.errors import RollbackError
from pipeline.promote import holds
from pipeline.promote.marts import Mart
from pipeline.promote.restore import Restore, restore_statements
from pipeline.promote.snapshot import in_one_snapshot
from pipeline.promote.steps import Tell

MOST_NAMED = 5

# Rows are found through the keys in the journal, never by reading a mart whole.
PROBE_ONLY = """
set local enable_hashjoin = off;
set local enable_mergejoin = off;
"""

STANDING = "select state, journal_pruned_at is not null from control.promotions where promotion_id = %s for update"

# What is still published of a promotion and of those after it, per tenant.
CHAIN = """
select
    t.tenant_id,
    t.promotion_id,
    t.previous_promotion_id is null as is_first,
    p.journal_pruned_at is not null as is_pruned
from control.promotion_tenants as mine
inner join control.promotion_tenants as t
    on t.tenant_id = mine.tenant_id and t.promotion_id >= mine.promotion_id
inner join control.promotions as p on p.promotion_id = t.promotion_id
where
    mine.promotion_id = %(promotion)s and mine.promoted and mine.undone_at is null
    and (%(tenants)s::text[] is null or mine.tenant_id = any(%(tenants)s))
    and t.promoted and t.undone_at is null
order by t.promotion_id desc, t.tenant_id
"""

RESTORE_PROGRESS = """
update control.promotion_progress as g set
    promoted_xid = coalesce(t.previous_xid, '0'),
    promotion_id = t.previous_promotion_id,
    as_of = t.previous_as_of,
    models_fingerprint = coalesce(t.previous_models_fingerprint, '')
from control.promotion_tenants as t
where t.promotion_id = %(promotion)s and t.tenant_id = any(%(tenants)s) and g.tenant_id = t.tenant_id
"""
MARK_UNDONE = """
update control.promotion_tenants set undone_at = clock_timestamp()
where promotion_id = %(promotion)s and tenant_id = any(%(tenants)s)
"""
MARK_ROLLED_BACK = """
update control.promotions as p set state = 'rolled_back'
where p.promotion_id = any(%(promotions)s) and not exists (
    select from control.promotion_tenants as t
    where t.promotion_id = p.promotion_id and t.promoted and t.undone_at is null
)
"""


@dataclass(frozen=True, kw_only=True)
class Link:
    """One tenant's part in one promotion that is still published."""

    tenant_id: str
    promotion_id: int
    is_first: bool
    is_pruned: bool


class Rollback(msgspec.Struct, frozen=True, kw_only=True):
    """What was undone; JSON-able."""

    promotion_id: int
    undone: Sequence[int]
    """The promotions, newest first: those after the one asked for had to be undone before it."""
    tenants: Sequence[str]
    rows_restored: Mapping[str, int]
    """Mart to rows that were brought back as they were, updated or deleted rows both."""
    rows_removed: Mapping[str, int]
    """Mart to rows that the promotions had inserted."""
    warnings: Sequence[str] = ()


def roll_back(
    connection: psycopg.Connection,
    marts: Sequence[Mart],
    promotion_id: int,
    *,
    tenants: Sequence[str] | None,
    cascade: bool,
    actor: str,
    reason: str,
    reached: Tell = lambda _: None,
) -> Rollback:
    """Undo a promotion for some tenants or all, in one transaction of the connection that holds the lock.

    Afterwards these tenants are held until a steward decides, or the next promotion would publish the
    same again. Raises RollbackError, with what stands in the way, or FingerprintMismatch, and changes
    nothing then.
    """

    def work() -> Rollback:
        fingerprint.verify(connection)
        connection.execute(PROBE_ONLY)
        chain = _chain(connection, promotion_id, tenants, cascade=cascade)
        restored, removed = ({mart.name: 0 for mart in marts} for _ in range(2))
        promotions = sorted({link.promotion_id for link in chain}, reverse=True)
        for each in promotions:
            links = [link for link in chain if link.promotion_id == each]
            for mart in marts:
                _restore(connection, restore_statements(mart), each, links, restored, removed)
                reached(f"restored {mart.name}")
            values = {"promotion": each, "tenants": [link.tenant_id for link in links]}
            connection.execute(RESTORE_PROGRESS, values)
            connection.execute(MARK_UNDONE, values)
        connection.execute(MARK_ROLLED_BACK, {"promotions": promotions})
        names = sorted({link.tenant_id for link in chain})
        holds.roll_back(connection, tenants=names, promotions=promotions, reason=reason)
        details = {"promotions": promotions, "reason": reason}
        for name in names:
            audit.record(connection, actor=actor, action="rollback", tenant_id=name, details=details)
        reached("recorded")
        return Rollback(
            promotion_id=promotion_id, undone=promotions, tenants=names, rows_restored=restored, rows_removed=removed
        )

    return in_one_snapshot(connection, work)


def _chain(
    connection: psycopg.Connection, promotion_id: int, tenants: Sequence[str] | None, *, cascade: bool
) -> list[Link]:
    standing = connection.execute(STANDING, (promotion_id,)).fetchone()
    if standing is None:
        raise RollbackError(f"There is no promotion {promotion_id}.", remedy="`workbench promotions list` shows them.")
    values = {"promotion": promotion_id, "tenants": None if tenants is None else list(tenants)}
    chain = connection.cursor(row_factory=class_row(Link)).execute(CHAIN, values).fetchall()
    mine = {link.tenant_id for link in chain}
    if missing := sorted(set(tenants or ()) - mine):
        raise RollbackError(
            f"Promotion {promotion_id} has published nothing of {_named(missing)} that still stands.",
            remedy=f"`workbench promotions show {promotion_id}` tells whom it promoted, and what is undone.",
        )
    if not chain:
        raise RollbackError(
            f"Promotion {promotion_id} is {standing[0].replace('_', ' ')}: nothing that it published still stands.",
            remedy="`workbench promotions list` shows which promotions do.",
        )
    _require_journal(chain)
    _require_latest(promotion_id, chain, cascade=cascade)
    return chain


def _require_journal(chain: Sequence[Link]) -> None:
    pruned = sorted({link.promotion_id for link in chain if link.is_pruned})
    if pruned:
        raise RollbackError(
            f"The journal of promotion {pruned[0]} has been removed: WORKBENCH_UNDO_DAYS have passed.",
            remedy="`workbench promote --full-refresh` rebuilds the marts from raw data.",
        )


def _require_latest(promotion_id: int, chain: Sequence[Link], *, cascade: bool) -> None:
    later = sorted({link.promotion_id for link in chain if link.promotion_id != promotion_id})
    if later and not cascade:
        whose = sorted({link.tenant_id for link in chain if link.promotion_id != promotion_id})
        raise RollbackError(
            f"Later promotions build on promotion {promotion_id}: {_named(map(str, later))} of {_named(whose)}. "
            "Undoing it alone would leave figures that no promotion ever checked.",
            remedy="Add --cascade to undo them too, newest first, or name other tenants with --tenant.",
        )


def _restore(
    connection: psycopg.Connection,
    statements: Restore,
    promotion_id: int,
    links: Sequence[Link],
    restored: dict[str, int],
    removed: dict[str, int],
) -> None:
    first = {"promotion": promotion_id, "tenants": [link.tenant_id for link in links if link.is_first]}
    others = {"promotion": promotion_id, "tenants": [link.tenant_id for link in links if not link.is_first]}
    if first["tenants"]:
        _require_equal(connection, statements.differs_first, first, statements.mart, "now")
        removed[statements.mart] += connection.execute(statements.remove_first, first).rowcount
    if others["tenants"]:
        _require_equal(connection, statements.differs_now, others, statements.mart, "now")
        removed[statements.mart] += connection.execute(statements.remove, others).rowcount
        restored[statements.mart] += connection.execute(statements.restore, others).rowcount
        _require_equal(connection, statements.differs_restored, others, statements.mart, "restored")
        connection.execute(statements.forget, others)


def _require_equal(
    connection: psycopg.Connection, statement: sql.Composed, values: Mapping[str, object], mart: str, when: str
) -> None:
    """Raise RollbackError, which undoes the transaction, for the first tenant whose rows are not as recorded."""
    row = connection.execute(statement, values).fetchone()
    if row is not None:
        what = "are not as this promotion left them" if when == "now" else "would not be as they were before it"
        raise RollbackError(
            f"Rows of {row[0]} in marts.{mart} {what} (promotion {values['promotion']}); nothing was changed.",
            remedy=f"Somebody wrote there by hand, or the mart has gained columns since: "
            f"`workbench promote --full-refresh --tenant {row[0]}` rebuilds it from raw data.",
        )


def _named(names: Sequence[str] | map[str]) -> str:
    listed = list(names)
    more = len(listed) - MOST_NAMED
    return ", ".join(listed[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")
