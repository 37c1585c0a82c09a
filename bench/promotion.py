"""What a promotion costs as history grows: the same hour of new events on marts of different sizes.

History is landed as SQL and promoted by the promoter itself, with a gate that passes everybody, so
that all marts agree with each other and with raw. The hours that are measured go through the real
gate; the process has promoted before, as a resident one has.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from pipeline.core.clock import utc_now
from pipeline.core.database import Database, ServiceRole
from pipeline.core.verdicts import Gate, Report, VerdictState
from pipeline.promote.promoter import Promoter
from pipeline.promote.promotion import Promotion

TENANTS = 1_000
HOUR = 50_000
EVENTS_A_SESSION = 10
SIZES = (1_000_000, 4_000_000, 16_000_000)
REPEATS = 5
EVENTS_A_DAY = 100_000
"""Of history, which so has more days the larger it is."""
CHUNK = 1_000_000
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
MOST_GROWTH = 1.5
"""The bar: from the smallest to the largest history."""

Tell = Callable[[str], None]

ADD_TENANTS = """
insert into control.tenants (tenant_id, display_name)
select 'tenant-' || rank, 'Tenant ' || rank from generate_series(1, %(tenants)s) as rank
"""

# Sessions of ten events in half a minute each, by Zipf's law over tenants; a tenant's users are in
# proportion to its size, a few of them heavy. One session in 50 is up to three days late.
LAND = """
insert into raw.usage_events
    (tenant_id, event_id, event_type, occurred_at, received_at, user_id, session_id, properties, payload_hash)
select
    'tenant-' || rank,
    gen_random_uuid(),
    'feature_' || floor(12 * power(random(), 2)),
    began + nth * interval '30 seconds' - case when late < 0.02 then late * interval '150 days' else '0' end,
    began + nth * interval '30 seconds',
    'user-' || floor(who * who * (5 + 20000 / rank)),
    'session-' || extract(epoch from began),
    jsonb_build_object('nth', nth, 'page', '/reports/' || session %% 97),
    decode(md5(session || '-' || nth), 'hex')
from (
    select
        session,
        %(since)s + session * %(per_session)s * interval '1 day' / %(a_day)s as began,
        floor(power(%(tenants)s + 1, random()))::int as rank,
        random() as who,
        random() as late
    from generate_series(1, %(count)s / %(per_session)s) as session
) as sessions
cross join generate_series(1, %(per_session)s) as nth
"""
NOTE_LANDING = """
insert into control.landing_progress
select tenant_id, pg_current_xact_id() from control.tenants
on conflict (tenant_id) do update set landed_xid = greatest(landing_progress.landed_xid, excluded.landed_xid)
"""
# A transaction that began before ours (an autovacuum's, say) holds the promotion's bound back.
IS_BELOW_THE_BOUND = """
select max(landed_xid) < pg_snapshot_xmin(pg_current_snapshot()) from control.landing_progress
"""


class PromotionTime(msgspec.Struct, frozen=True, kw_only=True):
    """The fastest promotion of an hour on one size of history, in seconds: what it takes when nothing disturbs."""

    facts: int
    """Rows of marts.fct_usage_events before."""
    events: int
    """In the hour."""
    tenants: int
    """With events in the hour."""
    seconds: float
    steps: Mapping[str, float]
    undo_seconds: float
    """To roll such an hour back."""
    least_seconds: float
    """To promote a single visit: what a promotion costs beside the work on its rows."""


class PromotionBench(msgspec.Struct, frozen=True, kw_only=True):
    """All sizes, and the growth from the smallest to the largest."""

    sizes: Sequence[PromotionTime]
    growth: float
    most_growth: float = MOST_GROWTH


class PassesAll:
    """The gate of history: it was made to be good."""

    fingerprint = ""

    def judge(self, *, promotion_id: int, tenants: Mapping[str, int], models: Sequence[str]) -> Report:  # noqa: ARG002
        return Report(verdicts=dict.fromkeys(tenants, VerdictState.PASSED))


def measure(
    database: Database,
    gate: Gate,
    dbt_dir: Path,
    *,
    sizes: Sequence[int] = SIZES,
    hour: int = HOUR,
    repeats: int = REPEATS,
    tell: Tell = lambda _: None,
) -> PromotionBench:
    """Grow the history of an empty deployment to each of `sizes`, and promote `repeats` hours on each."""
    with database.connect_admin() as admin:
        admin.execute(ADD_TENANTS, {"tenants": TENANTS})
    history = History(database, Promoter(database, PassesAll(), dbt_dir, utc_now))
    promoter = Promoter(database, gate, dbt_dir, utc_now)
    measured = []
    for size in sizes:
        history.grow(size, tell)
        _promote_hour(history, promoter, hour)  # Imports and parses what a resident process has at hand.
        facts = _count_facts(database)
        least = min(_seconds(_promote_hour(history, promoter, EVENTS_A_SESSION)) for _ in range(repeats))
        hours = [_promote_hour(history, promoter, hour) for _ in range(repeats)]
        undo = _undo(promoter, hours[-1])
        measured.append(_fastest(facts, hour, hours, undo_seconds=undo, least_seconds=least))
        tell(f"{facts:,} facts: {measured[-1].seconds:.2f} s")
    return PromotionBench(sizes=measured, growth=round(measured[-1].seconds / measured[0].seconds, 3))


class History:
    """Events in the order of time, from where the last ones ended."""

    def __init__(
        self, database: Database, promoter: Promoter, *, tenants: int = TENANTS, beginning: datetime = BEGINNING
    ) -> None:
        self._database = database
        self._tenants = tenants
        self._promoter = promoter
        self._end = beginning

    def grow(self, size: int, tell: Tell) -> int:
        """Promote history until there are `size` facts, and tell how many there are."""
        while (missing := size - _count_facts(self._database)) > 0:
            tell(f"{missing:,} facts of history to go")
            self.land(min(CHUNK, missing), a_day=EVENTS_A_DAY)
            self._promoter.promote()
        with self._database.connect_admin(autocommit=True) as admin:
            # What autovacuum and the checkpointer do in the weeks that this history stands for.
            admin.execute("vacuum analyze")
            admin.execute("checkpoint")
        return size - missing

    def land(self, count: int, *, a_day: int, per_session: int = EVENTS_A_SESSION) -> None:
        """Land the next events, so many a day."""
        values = {
            "count": count,
            "since": self._end,
            "a_day": a_day,
            "tenants": self._tenants,
            "per_session": per_session,
        }
        with self._database.connect(ServiceRole.LANDER) as connection:
            connection.execute(LAND, values)
            connection.execute(NOTE_LANDING)
        with self._database.connect_admin(autocommit=True) as admin:
            while not admin.execute(IS_BELOW_THE_BOUND).fetchall()[0][0]:
                time.sleep(0.1)
        self._end += timedelta(days=count / a_day)


def _promote_hour(history: History, promoter: Promoter, hour: int) -> Promotion:
    history.land(hour, a_day=24 * hour)
    promotion = promoter.promote()
    if promotion.held or sum(promotion.promoted.values()) != hour:
        raise AssertionError(f"the hour did not go through: {promotion.held}")
    return promotion


def _undo(promoter: Promoter, promotion: Promotion) -> float:
    """Seconds to roll a promotion back; afterwards it is promoted again."""
    began = time.perf_counter()
    promoter.rollback(promotion.id, actor="bench", reason="measured")
    seconds = time.perf_counter() - began
    promoter.rerun(list(promotion.promoted), actor="bench")
    return seconds


def _count_facts(database: Database) -> int:
    with database.connect_admin() as admin:
        return int(admin.execute("select count(*) from marts.fct_usage_events").fetchall()[0][0])


def _fastest(
    facts: int, hour: int, promotions: Sequence[Promotion], *, undo_seconds: float, least_seconds: float
) -> PromotionTime:
    fastest = min(promotions, key=_seconds)
    return PromotionTime(
        facts=facts,
        events=hour,
        tenants=len(fastest.promoted),
        seconds=round(_seconds(fastest), 3),
        steps={name: round(seconds, 3) for name, seconds in fastest.seconds.items()},
        undo_seconds=round(undo_seconds, 3),
        least_seconds=round(least_seconds, 3),
    )


def _seconds(promotion: Promotion) -> float:
    return sum(promotion.seconds.values())
