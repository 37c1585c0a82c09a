"""What the gate costs: against Great Expectations running the same suites as users do, and as history grows.

    ours      the gate of a promotion: every table read once, verdicts and rows by tenant
    native    one `validate` for each suite, with the result format that is the default

Both judge one candidate that dbt built for an hour of a few events from each of many tenants; Great
Expectations has been imported before. Native has no verdict by tenant: it says less for its time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from bench.promotion import ADD_TENANTS, HOUR, History, PassesAll, Tell
from checks import validation
from checks.gate import TIMEOUT_SECONDS, ExpectationsGate
from checks.judgement import Judgement
from checks.rules import Rule
from checks.suites import SUITES
from pipeline.core.clock import utc_now
from pipeline.core.database import Database, ServiceRole
from pipeline.core.verdicts import Report, VerdictState
from pipeline.promote.promoter import Promoter

TENANTS = 2_000
EVENTS_A_SESSION = 2
SIZES = (1_000_000, 16_000_000)
REPEATS = 5
NATIVE_REPEATS = 3
LEAST_FEWER_SCANS = 5.0
LEAST_FASTER = 3.0
MOST_GROWTH = 1.5
"""The bars: scans and time of native over ours, and ours from the smallest to the largest history."""
SETTLED_SECONDS = 0.3

SCANS = """
select coalesce(sum(seq_scan) + sum(coalesce(idx_scan, 0)), 0)::bigint
from pg_stat_user_tables where schemaname = 'candidate'
"""


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One contender on one candidate: its fastest judgement, and the scans of candidate tables in one."""

    seconds: float
    scans: int


class GateTime(msgspec.Struct, frozen=True, kw_only=True):
    """Our gate on one size of history."""

    facts: int
    """Rows of marts.fct_usage_events before the hour."""
    ours: Judged


class GatingBench(msgspec.Struct, frozen=True, kw_only=True):
    """The comparison, on the smallest history, and the growth to the largest."""

    events: int
    tenants: int
    """With events in the hour."""
    rules: int
    ours: Judged
    native: Judged
    fewer_scans: float
    faster: float
    sizes: Sequence[GateTime]
    growth: float
    least_fewer_scans: float = LEAST_FEWER_SCANS
    least_faster: float = LEAST_FASTER
    most_growth: float = MOST_GROWTH


def measure(
    database: Database,
    dbt_dir: Path,
    *,
    sizes: Sequence[int] = SIZES,
    hour: int = HOUR,
    tell: Tell = lambda _: None,
) -> GatingBench:
    """Grow the history of an empty deployment to each of `sizes`, and judge an hour on each."""
    with database.connect_admin() as admin:
        admin.execute(ADD_TENANTS, {"tenants": TENANTS})
    history = History(database, Promoter(database, PassesAll(), dbt_dir, utc_now), tenants=TENANTS)
    stopwatch = _Stopwatch(database)
    promoter = Promoter(database, stopwatch, dbt_dir, utc_now)
    times = []
    for size in sizes:
        facts = history.grow(size, tell)
        history.land(hour, a_day=24 * hour, per_session=EVENTS_A_SESSION)
        promoter.promote()
        times.append(GateTime(facts=facts, ours=stopwatch.ours[-1]))
        tell(f"{facts:,} facts: {times[-1].ours.seconds:.2f} s, {times[-1].ours.scans} scans")
    ours, native = stopwatch.ours[0], stopwatch.native
    return GatingBench(
        events=hour,
        tenants=stopwatch.tenants,
        rules=sum(len(suite.rules) for suite in SUITES),
        ours=ours,
        native=native,
        fewer_scans=round(native.scans / ours.scans, 2),
        faster=round(native.seconds / ours.seconds, 2),
        sizes=times,
        growth=round(times[-1].ours.seconds / ours.seconds, 3),
    )


class _Stopwatch:
    """A gate that judges again and again, and tells what our gate answered; native is asked the first time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._gate = ExpectationsGate(database.url(ServiceRole.PUBLISHER))
        self.ours: list[Judged] = []
        self.native = Judged(seconds=0.0, scans=0)
        self.tenants = 0

    @property
    def fingerprint(self) -> str:
        return self._gate.fingerprint

    def judge(self, *, promotion_id: int, tenants: Mapping[str, int], models: Sequence[str]) -> Report:
        """What our gate says, which must be that all is well."""
        report = self._gate.judge(promotion_id=promotion_id, tenants=tenants, models=models)
        if set(report.verdicts.values()) != {VerdictState.PASSED}:
            raise AssertionError(f"the hour is good, but: {report.findings[:3]}")
        self.ours.append(
            self._time(REPEATS, lambda: self._gate.judge(promotion_id=promotion_id, tenants=tenants, models=models))
        )
        if len(self.ours) == 1:
            self.tenants = len(tenants)
            context = validation.new_context()
            deadline = time.monotonic() + TIMEOUT_SECONDS
            judgement = Judgement(
                url=self._database.url(ServiceRole.PUBLISHER), promotion_id=promotion_id, deadline=deadline
            )
            self.native = self._time(NATIVE_REPEATS, lambda: _validate_natively(context, judgement))
        return report

    def _time(self, repeats: int, judge: Callable[[], object]) -> Judged:
        with self._database.connect_admin(autocommit=True) as admin:
            before = _settled_scans(admin)
            seconds = []
            for _ in range(repeats):
                began = time.perf_counter()
                judge()
                seconds.append(time.perf_counter() - began)
            scans = _settled_scans(admin) - before
        return Judged(seconds=round(min(seconds), 3), scans=round(scans / repeats))


def _validate_natively(context: Any, judgement: Judgement) -> None:
    """As the documentation of Great Expectations does it; raises AssertionError unless every rule that stops passes."""
    import great_expectations as gx

    from checks import expectations

    with validation.opened(context, judgement) as source:
        for suite in SUITES:
            native = gx.ExpectationSuite(name=f"{suite.boundary}.{suite.table.name}")
            for rule in suite.rules:
                native.add_expectation(_as_users_write_it(rule, expectations))
            batch = source.add_table_asset(suite.table.name).add_batch_definition_whole_table("all").get_batch()
            result = batch.validate(native, result_format="SUMMARY")
            metas = [item.expectation_config.meta for item in result.results if not item.success]
            if stopped := [meta["rule"] for meta in metas if meta["severity"] == "stop"]:
                raise AssertionError(f"native finds fault with {suite.table.name}: {', '.join(stopped)}")


def _as_users_write_it(rule: Rule, gx: Any) -> Any:
    """Ours know how to be judged in one pass; theirs is the query alone."""
    expectation = rule.expectation(gx)
    if isinstance(expectation, gx.ExpectNoRows):
        expectation = gx.UnexpectedRowsExpectation(unexpected_rows_query=expectation.unexpected_rows_query)
    expectation.meta = {"rule": rule.name, "severity": rule.severity}
    return expectation


def _settled_scans(admin: psycopg.Connection) -> int:
    """The scans so far, once those of sessions that have just ended are counted."""
    counted = -1
    while (now := int(admin.execute(SCANS).fetchall()[0][0])) != counted:
        counted = now
        time.sleep(SETTLED_SECONDS)
    return counted
