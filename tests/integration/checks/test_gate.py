"""The gate on a real candidate, with real Great Expectations: who is held, for what, and nobody else."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

import pytest

from checks.gate import ExpectationsGate
from checks.suites import SUITES
from pipeline.core.database import ServiceRole
from pipeline.core.verdicts import Report, VerdictState
from tests.integration.checks.conftest import TABLES, World
from tests.integration.checks.plants import CHANGE, COLUMNS, ELSEWHERE, LOSE, OPTIONAL, SENT, built

WARNINGS = {rule.name for suite in SUITES for rule in suite.rules if rule.severity == "warn"}
MART_OF_NOBODY = """
create table candidate.another_mart as select null as tenant_id;
grant select on candidate.another_mart to workbench_publisher
"""
NEIGHBOURS = ("continued", "refreshed", "clock-just-right")


def rules_of(report: Report, tenant: str) -> set[str]:
    """The rules that did not pass for a tenant."""
    return {finding.rule for finding in report.findings if finding.tenant_id == tenant}


def test_every_rule_catches_its_bad_row_and_spares_the_neighbours(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    wrong = SENT | built()
    rules = {rule.name for suite in SUITES for rule in suite.rules}
    assert rules - wrong.keys() - ELSEWHERE == {f"{table}_is_complete" for table in TABLES}

    world.land([*wrong, *NEIGHBOURS])
    for tenant, statement in SENT.items():
        world.spoil(statement, tenant=tenant)
    world.spoil(
        "update raw.usage_events set received_at = occurred_at - interval '1 hour' where tenant_id = 'clock-just-right'"
    )
    world.build(refreshed=["refreshed", "clock_is_not_ahead", "tenant_usage_metrics_adds_up"])
    for tenant, statement in built().items():
        world.spoil(statement, tenant=tenant)
    report = world.judge()

    assert {tenant: rules_of(report, tenant) for tenant in NEIGHBOURS} == {tenant: set() for tenant in NEIGHBOURS}
    assert {tenant: rules_of(report, tenant) for tenant in SENT} == {tenant: {tenant} for tenant in SENT}
    assert {rule for rule in wrong if rule not in rules_of(report, rule)} == set()
    passed = {tenant for tenant, state in report.verdicts.items() if state is VerdictState.PASSED}
    assert passed == {*NEIGHBOURS, *WARNINGS - ELSEWHERE}
    assert set(report.verdicts.values()) == {VerdictState.PASSED, VerdictState.FAILED}

    clock = next(finding for finding in report.findings if finding.tenant_id == "clock_is_not_ahead")
    assert (clock.boundary, clock.severity, clock.outcome, clock.failing_rows) == ("raw_to_facts", "stop", "failed", 1)
    assert clock.detail.startswith("1 failing row. The sender's clock is further ahead than is tolerated")
    assert [(*sample, sample["lag_seconds"]) for sample in clock.samples] == [("event_id", "lag_seconds", -3601.0)]
    assert capfd.readouterr() == ("", "")


def test_a_null_never_passes_for_want_of_an_answer(world: World) -> None:
    columns = world.admin.execute(COLUMNS, (list(TABLES),)).fetchall()
    tenants = {f"{table}.{column}": (table, column) for table, column in columns if (table, column) not in OPTIONAL}
    world.land([*tenants, "continued"])
    world.build()
    for tenant, (table, column) in tenants.items():
        world.spoil(CHANGE.format(table=table, change=f"{column} = null"), tenant=tenant)
    report = world.judge()

    assert report.verdicts == dict.fromkeys(tenants, VerdictState.FAILED) | {"continued": VerdictState.PASSED}
    incomplete = {tenant: f"{table}_is_complete" for tenant, (table, _) in tenants.items()}
    assert {tenant for tenant, rule in incomplete.items() if rule not in rules_of(report, tenant)} == set()


def test_facts_are_compared_with_what_was_landed_field_by_field(world: World) -> None:
    changes = {
        "event_type": "event_type = 'other'",
        "occurred_at": "occurred_at = occurred_at - interval '1 second'",
        "received_at": "received_at = received_at + interval '1 second'",
        "user_id": "user_id = 'u9'",
        "session_id": "session_id = null",
        "properties": "properties = '{}'",
    }
    outside = "update raw.usage_events set landed_xid = '200' where tenant_id = 'outside' and user_id = 'u3'"
    world.land([*changes, "outside", "lost", "good"])
    world.build()
    for tenant, change in changes.items():
        world.spoil(f"{CHANGE} and user_id = 'u3'".format(table="fct_usage_events", change=change), tenant=tenant)
    world.spoil(outside)
    world.spoil("delete from candidate.fct_usage_events where tenant_id = 'lost' and user_id = 'u3'")
    report = world.judge()

    differences = {
        finding.tenant_id: [sample["difference"] for sample in finding.samples]
        for finding in report.findings
        if finding.rule == "facts_are_as_landed"
    }
    assert differences == {
        **{tenant: [f"not as it was landed: {tenant}"] for tenant in changes},
        "outside": ["in the facts, but not landed in this window"],
        "lost": ["landed, but not in the facts"],
    }


def test_an_aggregate_holds_the_touched_keys_no_fewer_and_no_more(world: World) -> None:
    tables = TABLES[1:]
    world.land([*tables, "untouched", "good"])
    world.build(refreshed=tables[:4])
    for table in tables:
        world.spoil(LOSE.format(table=table), tenant=table)
    # What u1 did on the first day is published, and no new event belongs to it.
    world.spoil("""
        insert into candidate.fct_user_activity
        select * from marts.fct_user_activity
        where tenant_id = 'untouched' and user_id = 'u1' and active_on = '2026-02-27'
    """)
    report = world.judge()

    gaps = {finding.tenant_id: finding for finding in report.findings if finding.rule.endswith("_adds_up")}
    assert {tenant: finding.rule for tenant, finding in gaps.items()} == {
        **{table: f"{table}_adds_up" for table in tables},
        "untouched": "fct_user_activity_adds_up",
    }
    (sample,) = gaps["untouched"].samples
    assert (sample["user_id"], sample["active_on"], sample["event_type"]) == ("u1", "2026-02-27", "page_view")
    assert (sample["events"], sample["published_events"], sample["new_events"]) == (1, 1, 0)
    assert report.verdicts["good"] is VerdictState.PASSED


def test_no_tenant_slips_through_when_hundreds_fail_at_once(world: World) -> None:
    failing = [f"t{number}" for number in range(400)]
    world.land([*failing, "noisy", "good"])
    world.spoil("""
        insert into raw.usage_events (
            tenant_id, event_id, event_type, occurred_at, received_at, properties, payload_hash, landed_xid
        )
        select 'noisy', gen_random_uuid(), 'page_view', now(), now() - interval '2 hours', '{}', '', '150'
        from generate_series(1, 1500)
    """)
    world.build()
    world.spoil("update candidate.dim_users set active_days = 0 where tenant_id ~ '^t[0-9]'")
    report = world.judge()

    assert {tenant for tenant, state in report.verdicts.items() if state is VerdictState.PASSED} == {"good"}
    inactive = {f.tenant_id: f.failing_rows for f in report.findings if f.rule == "dim_users_active_days_is_possible"}
    assert inactive == dict.fromkeys(failing, 3)
    (clock,) = [finding for finding in report.findings if finding.rule == "clock_is_not_ahead"]
    assert (clock.tenant_id, clock.failing_rows, len(clock.samples)) == ("noisy", 1500, 20)


def test_empty_and_unseen_are_told_apart_from_failed(world: World) -> None:
    world.land(["good", "empty", "other-window"])
    world.build()
    world.spoil("delete from candidate.fct_usage_events where tenant_id = 'empty'")
    report = world.judge(world.tenants() | {"other-window": 6, "never-planned": 5})

    assert report.verdicts == {
        "good": VerdictState.PASSED,
        "empty": VerdictState.EMPTY,
        "other-window": VerdictState.UNSEEN,
        "never-planned": VerdictState.UNSEEN,
    }
    assert "as_many_facts_as_landed_rows" in rules_of(report, "empty")
    assert rules_of(report, "never-planned") == {"every_tenant_is_seen"}


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        ("drop table candidate.fct_sessions", "candidate.fct_sessions is missing"),
        ("alter table candidate.dim_users drop column active_days", "active_days"),
        ("alter table candidate.dim_users enable row level security", "candidate.dim_users hides rows"),
        ("revoke select on candidate.dim_users from workbench_publisher", "candidate.dim_users may not be read"),
        ("update candidate.fct_usage_events set tenant_id = null where user_id = 'u3'", "of no tenant"),
        ("update candidate.feature_adoption set tenant_id = 'stranger'", "of stranger"),
        ("alter table candidate.dim_users alter events type text using 'many'", "operator does not exist: text"),
        (MART_OF_NOBODY, "of no tenant"),
        ("drop table if exists candidate.another_mart", "candidate.another_mart is missing"),
    ],
)
def test_what_cannot_be_judged_is_errored_for_everybody(world: World, harm: str, reason: str) -> None:
    world.land(["good", "better"])
    world.build()
    world.spoil(harm)
    models = (*TABLES, "another_mart") if "another_mart" in harm else TABLES
    report = world.judge(models=models)

    assert set(report.verdicts.values()) == {VerdictState.ERRORED}
    errored = {finding.tenant_id: finding.detail for finding in report.findings if finding.outcome == "errored"}
    assert errored.keys() == {"good", "better"}
    assert all(reason in detail for detail in errored.values()), errored


def test_a_role_blinded_in_raw_holds_everybody(world: World) -> None:
    world.land(["good"])
    world.build()
    world.spoil("drop policy reconciles on raw.usage_events")
    assert world.judge().verdicts == {"good": VerdictState.FAILED}


def test_a_judgement_ends_at_its_deadline(world: World) -> None:
    world.land(["good"])
    world.build()
    assert world.judge().verdicts == {"good": VerdictState.PASSED}
    hasty = ExpectationsGate(world.database.url(ServiceRole.PUBLISHER), timeout_seconds=2)
    with world.locked("marts.dim_users"):
        began = time.monotonic()
        report = hasty.judge(promotion_id=2, tenants=world.tenants(), models=TABLES)
    assert report.verdicts == {"good": VerdictState.ERRORED}
    assert re.search("statement timeout|longer than it may", report.findings[0].detail)
    # Great Expectations tries a failing statement three times.
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'workbench_gate'",
            "connection",
        ),
        ("delete from candidate.fct_usage_events where user_id = 'u3'", "changed while it was judged"),
    ],
)
def test_what_happens_to_a_judgement_under_way_promotes_nothing(world: World, harm: str, reason: str) -> None:
    world.land(["good"])
    world.build()
    reports: list[Report] = []
    judging = threading.Thread(target=lambda: reports.append(world.judge({"good": 5})))
    with world.locked("marts.dim_users"):
        judging.start()
        eventually(lambda: _gate_backends(world, waiting=True) > 0)
        world.spoil(harm)
    judging.join(timeout=60)
    assert [report.verdicts for report in reports] == [{"good": VerdictState.ERRORED}]
    assert reason in reports[0].findings[-1].detail


def test_a_gate_that_has_judged_before_remembers_nothing_and_holds_no_connection(world: World) -> None:
    world.land(["good"])
    world.build()
    assert world.judge().verdicts == {"good": VerdictState.PASSED}
    eventually(lambda: _gate_backends(world) == 0)
    world.spoil("alter table candidate.dim_users drop column last_seen_at")
    assert world.judge().verdicts == {"good": VerdictState.ERRORED}


def eventually(holds: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until something holds; fail once the time is over."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _gate_backends(world: World, *, waiting: bool = False) -> int:
    row = world.admin.execute(
        """
        select count(*) from pg_stat_activity
        where application_name = 'workbench_gate' and datname = current_database()
            and (not %s or wait_event_type = 'Lock')
        """,
        (waiting,),
    ).fetchone()
    assert row is not None
    return int(row[0])
