"""Retention: what is past its time goes, a few promotions at once; what anything rests on stays, and all the rest.

Ages are true ages: the moment that a promotion ended at is set back.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace
from psycopg import sql

from pipeline.core.database import ServiceRole, database_name
from pipeline.core.errors import PromotionError, RollbackError
from pipeline.core.verdicts import Check, Report, VerdictState
from pipeline.promote.promotion import PromotionState
from pipeline.promote.retention import AT_ONCE, PARTS, Keeper
from tests.conftest import deployed
from tests.integration.promote.estate import AROUND, MARTS, Compiled, Estate, event
from tests.integration.promote.world import ScriptedGate, finding, wait_until

ACT: dict[str, Any] = {"actor": "sam", "reason": "because"}
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
KEEPER = Keeper(undo=HOUR, history=DAY)

AGE = "update control.promotions set finished_at = finished_at - %s where promotion_id = any(%s)"
TABLES = """
select schemaname, tablename from pg_tables
where schemaname in ('raw', 'control', 'marts', 'journal') order by 1, 2
"""
IDLE = """
insert into control.promotions (full_refresh, bound_xid, as_of, models_fingerprint, state, finished_at)
select false, '3', now(), '', 'nothing_new', clock_timestamp() from generate_series(1, %s)
returning promotion_id
"""
PROMOTIONS = "select promotion_id, journal_pruned_at is not null from control.promotions order by 1"
SECOND_LAST = """
select promotion_id from control.promotion_tenants where promoted order by promotion_id desc offset 1
"""
WAITS = """
select count(*) from pg_stat_activity
where application_name = 'retention' and wait_event_type = 'Lock' and datname = current_database()
"""
END = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'retention'"

Rows = dict[str, Counter[str]]


class CheckingGate(ScriptedGate):
    """A scripted gate that says what it checked, and warns of everybody."""

    def judge(self, **asked: Any) -> Report:
        """The script's verdicts, with a check and a warning that every promotion leaves on record."""
        report = super().judge(**asked)
        warnings = [replace(finding(tenant, "odd"), severity="warn") for tenant in report.verdicts]
        check = Check(
            boundary="raw_to_facts",
            rule="odd",
            table="fct_usage_events",
            severity="warn",
            why="it is odd",
            outcome="failed",
            checked_rows=1,
            failing_rows=1,
            failing_tenants=1,
        )
        rows = {tenant: {"fct_usage_events": 1} for tenant in report.verdicts}
        return replace(report, findings=(*report.findings, *warnings), checks=(check,), checked_rows=rows)


@dataclass(frozen=True)
class Past:
    """The promotions of `prepared`, by what is to be learned from them."""

    figures: int
    """Old; the figures of `quiet` rest on it."""
    plain: int
    """Old; nothing rests on it any more."""
    hold: int
    """Old; it holds `bad`."""
    failed: int
    idle: int
    middle: int
    """Past undoing, not past history."""
    recent: int

    @property
    def old(self) -> list[int]:
        """Those that are past their history."""
        return [self.figures, self.plain, self.hold, self.failed, self.idle]


@pytest.fixture(scope="module")
def prepared(cluster: str, template: str, compiled: Compiled) -> Iterator[tuple[str, Past]]:
    """Promotions of every kind and age, in a database that each test copies: making them takes longer."""
    with deployed(cluster, template) as database:
        gate = CheckingGate()
        estate = Estate(database=database, compiled=compiled, gate=gate)
        estate.tenants("steady", "quiet", "bad")
        gate.states["bad"] = VerdictState.FAILED
        found = Past(
            figures=promote(estate, "steady", "quiet"),
            plain=promote(estate, "steady"),
            hold=promote(estate, "steady", "bad"),
            failed=fail(estate, gate),
            idle=estate.promoter().promote(tenants=["quiet"]).id,
            middle=promote(estate, "steady"),
            recent=promote(estate, "steady"),
        )
        age(estate, 2 * DAY, *found.old)
        age(estate, 2 * HOUR, found.middle)
        yield database_name(database.admin_url), found


@pytest.fixture
def past(prepared: tuple[str, Past]) -> Past:
    """The promotions that there were before the test."""
    return prepared[1]


@pytest.fixture
def aged(cluster: str, prepared: tuple[str, Past], compiled: Compiled) -> Iterator[Estate]:
    """A database with a past, of this test alone; `bad` still fails in it."""
    gate = CheckingGate()
    gate.states["bad"] = VerdictState.FAILED
    with deployed(cluster, prepared[0]) as database:
        yield Estate(database=database, compiled=compiled, gate=gate)


def promote(estate: Estate, *tenants: str) -> int:
    """Land some events that restate earlier keys, and promote them."""
    estate.land(*(event(tenant, AROUND + timedelta(minutes=i)) for tenant in tenants for i in range(3)))
    return estate.promoter().promote(tenants=tenants).id


def fail(estate: Estate, gate: CheckingGate) -> int:
    """A promotion that fails while it is judged."""

    def stumble() -> None:
        raise ValueError("stumbled")

    gate.while_judging = stumble
    estate.land(event("steady", AROUND))
    with pytest.raises(PromotionError, match="stumbled"):
        estate.promoter().promote(tenants=["steady"])
    gate.while_judging = lambda: None
    return int(estate.value("select max(promotion_id) from control.promotions"))


def age(estate: Estate, by: timedelta, *promotions: int) -> None:
    """Let the promotions have ended so much earlier."""
    with estate.admin() as connection:
        assert connection.execute(AGE, (by, list(promotions))).rowcount == len(promotions)


def tidy(estate: Estate, keeper: Keeper = KEEPER) -> None:
    """What happens after each promotion."""
    with estate.database.connect(ServiceRole.PUBLISHER, autocommit=True, application="retention") as link:
        keeper.tidy(link, MARTS)


def everything(estate: Estate) -> Rows:
    """Every row of every table of data, marts and decisions, but for the mark that retention leaves."""
    found = {}
    with estate.admin() as connection:
        for name in connection.execute(TABLES).fetchall():
            rows = connection.execute(sql.SQL("select to_jsonb(t) from {} as t").format(sql.Identifier(*name)))
            found[".".join(name)] = Counter(
                json.dumps({key: value for key, value in row.items() if key != "journal_pruned_at"}, sort_keys=True)
                for (row,) in rows
            )
    return found


def without(rows: Rows, *, journals_of: set[int], promotions: set[int]) -> Rows:
    """The rows but for what retention may take."""

    def stays(table: str, row: str) -> bool:
        promotion = json.loads(row).get("promotion_id")
        if table.startswith("journal."):
            return promotion not in journals_of
        return table not in {f"control.{part}" for part in PARTS} or promotion not in promotions

    return {table: Counter({r: n for r, n in found.items() if stays(table, r)}) for table, found in rows.items()}


def test_what_is_past_its_time_goes_and_no_other_row_of_any_table(aged: Estate, past: Past) -> None:
    before = everything(aged)
    gone, pruned = {past.plain, past.failed, past.idle}, {*past.old, past.middle}
    expected = without(before, journals_of=pruned, promotions=gone)
    # There was something of everything to take, and there is something left.
    for table in ("journal.fct_usage_events", *(f"control.{part}" for part in PARTS)):
        assert len(before[table]) > len(expected[table]) > 0, table
    tidy(aged)
    assert everything(aged) == expected
    left = [(past.figures, True), (past.hold, True), (past.middle, True), (past.recent, False)]
    assert aged.rows(PROMOTIONS) == left
    tidy(aged)
    assert everything(aged) == expected


def test_what_an_open_hold_or_figures_rested_on_goes_once_they_have_moved_on(aged: Estate, past: Past) -> None:
    checks = "select rule from control.check_results where promotion_id = %s and tenant_id = 'bad' order by 1"
    tidy(aged)
    assert aged.rows(checks, past.hold) == [("clock_ahead",), ("odd",)]
    aged.gate = CheckingGate()
    assert aged.promoter().promote().promoted.keys() == {"bad"}
    promote(aged, "quiet")
    tidy(aged)
    assert {promotion for promotion, _ in aged.rows(PROMOTIONS)}.isdisjoint(past.old)
    # What was decided, and about which promotion, stays on record.
    assert aged.rows("select tenant_id, promotion_id, state from control.holds") == [("bad", past.hold, "cleared")]


def test_an_open_hold_keeps_every_promotion_that_was_undone_and_the_rules_seen_in_it(aged: Estate) -> None:
    for rule in ("first_rule", "second_rule"):
        gate = CheckingGate()
        gate.states["steady"], gate.rule = VerdictState.FAILED, rule
        aged.gate = gate
        promote(aged, "steady")
        aged.promoter().release("steady", **ACT)
    undone = aged.promoter().rollback(aged.value(SECOND_LAST), cascade=True, **ACT).undone
    assert len(undone) == 2
    age(aged, 2 * DAY, *undone)
    tidy(aged)
    assert {promotion for promotion, _ in aged.rows(PROMOTIONS)} >= set(undone)
    assert aged.promoter().release("steady", **ACT).promoted == {"steady": 6}


def test_without_its_journal_a_promotion_cannot_be_undone_and_the_error_says_why(aged: Estate, past: Past) -> None:
    tidy(aged)
    before = everything(aged)
    undo = aged.promoter(keeper=KEEPER).rollback
    for promotion, cascade, named in (
        (past.figures, False, past.figures),
        (past.middle, True, past.middle),
        (past.hold, True, past.hold),
    ):
        with pytest.raises(RollbackError) as refused:
            undo(promotion, cascade=cascade, **ACT)
        assert f"The journal of promotion {named} has been removed" in refused.value.message
        assert "WORKBENCH_UNDO_DAYS" in refused.value.message
        assert "--full-refresh" in (refused.value.remedy or "")
    with pytest.raises(RollbackError, match=f"There is no promotion {past.plain}"):
        undo(past.plain, **ACT)
    assert everything(aged) == before
    assert undo(past.recent, **ACT).tenants == ["steady"]


def test_an_undone_promotion_may_leave_figures_that_rest_on_one_that_is_gone(aged: Estate, past: Past) -> None:
    age(aged, 2 * DAY, past.middle)
    stood = "select promotion_id, promoted_xid::text, as_of from control.promotion_progress where tenant_id = 'steady'"
    hashes = aged.hashes()
    promotion = promote(aged, "steady")
    aged.promoter().rollback(promotion, **ACT)
    assert aged.hashes() == hashes
    aged.promoter().discard("steady", **ACT)
    assert aged.value(stood) == past.recent
    tidy(aged)
    assert past.middle not in {row[0] for row in aged.rows(PROMOTIONS)}
    before_recent = {key: of for key, of in hashes.items() if key[0] != "steady"}
    aged.promoter().rollback(past.recent, **ACT)
    assert aged.value(stood) == past.middle
    assert before_recent.items() <= aged.hashes().items()
    # Life goes on from there: judged again, undone again, tidied again.
    again = aged.promoter().rerun(["steady"], actor="sam")
    assert again.promoted.keys() == {"steady"}
    aged.promoter().rollback(again.id, **ACT)
    tidy(aged)
    assert aged.value(stood) == past.middle


def test_a_history_shorter_than_undoing_takes_nothing_that_can_be_undone(aged: Estate, past: Past) -> None:
    before = everything(aged)
    tidy(aged, Keeper(undo=3 * DAY, history=HOUR))
    assert everything(aged) == before
    assert not any(is_pruned for _, is_pruned in aged.rows(PROMOTIONS))
    assert aged.promoter().rollback(past.figures, tenants=["quiet"], **ACT).tenants == ["quiet"]


def test_promotions_go_a_few_at_once_the_oldest_first(aged: Estate, past: Past) -> None:
    idle = [row[0] for row in aged.rows(IDLE, 2 * AT_ONCE + 3)]
    age(aged, 2 * DAY, past.middle, *idle)
    going = [past.plain, past.failed, past.idle, past.middle, *idle]
    left = []
    for _ in range(4):
        tidy(aged)
        left.append([promotion for promotion, _ in aged.rows(PROMOTIONS) if promotion in going])
    # Journals set the pace. Two of the first have to stay, and do not hold up the others.
    assert left == [going[pace:] for pace in (AT_ONCE - 2, 2 * AT_ONCE - 2, len(going), len(going))]


def test_a_promotion_tidies_up_after_itself_whatever_comes_of_it(aged: Estate, past: Past) -> None:
    assert aged.promoter(keeper=KEEPER).promote(tenants=["quiet"]).state is PromotionState.NOTHING_NEW
    assert {promotion for promotion, _ in aged.rows(PROMOTIONS)} & set(past.old) == {past.figures, past.hold}


@pytest.mark.parametrize("table", ["promotions", "promotion_tenants"])
def test_killed_while_it_tidies_a_promotion_is_whole_or_gone(aged: Estate, past: Past, table: str) -> None:
    """What it would do last with the journals, and in the middle of the history, is kept from it."""
    block = sql.SQL("select from {} where promotion_id = %s for update").format(sql.Identifier("control", table))
    before = everything(aged)
    with aged.admin() as blocker, ThreadPoolExecutor(1) as pool:
        blocker.execute(block, (past.plain,))
        tidying = pool.submit(tidy, aged)
        wait_until(lambda: aged.value(WAITS))
        aged.value(END)
        with pytest.raises(psycopg.OperationalError):
            tidying.result(20)
    pruned = {promotion for promotion, is_pruned in aged.rows(PROMOTIONS) if is_pruned}
    assert (past.plain in pruned) == (table == "promotion_tenants")
    assert everything(aged) == without(before, journals_of=pruned, promotions=set())
    tidy(aged)
    assert {promotion for promotion, _ in aged.rows(PROMOTIONS)} & set(past.old) == {past.figures, past.hold}
