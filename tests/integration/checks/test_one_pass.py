"""What the gate tells beside its verdicts, and what it leaves to Great Expectations."""

from __future__ import annotations

from dataclasses import replace

from checks.gate import ExpectationsGate
from checks.rules import ExpectationFactory, Rule, Suite, no_rows
from checks.suites import SUITES
from pipeline.core.database import ServiceRole
from pipeline.core.verdicts import Report, VerdictState
from tests.integration.checks.conftest import TABLES, World


def judge_with(world: World, **expectations: ExpectationFactory) -> Report:
    """Judge by rules on facts alone."""
    rules = tuple(
        Rule(name=name, severity="stop", why="It hurts.", expectation=expectation)
        for name, expectation in expectations.items()
    )
    suite = Suite(boundary="facts", table=SUITES[0].table, rules=rules)
    gate = ExpectationsGate(world.database.url(ServiceRole.PUBLISHER), suites=(suite,))
    return gate.judge(promotion_id=2, tenants=world.tenants(), models=())


def test_every_rule_is_told_with_its_rows_those_that_passed_included(world: World) -> None:
    world.land(["good", "bad", "worse"])
    world.build()
    world.spoil("update candidate.dim_users set active_days = 0 where tenant_id = 'bad' and user_id = 'u1'")
    world.spoil("update candidate.dim_users set active_days = 0 where tenant_id = 'worse'")
    report = world.judge()

    checks = {(check.boundary, check.rule): check for check in report.checks}
    assert list(checks) == [(suite.boundary, rule.name) for suite in SUITES for rule in suite.rules]
    failed = checks.pop(("users", "dim_users_active_days_is_possible"))
    assert (failed.table, failed.severity, failed.outcome) == ("dim_users", "stop", "failed")
    assert (failed.checked_rows, failed.failing_rows, failed.failing_tenants) == (9, 4, 2)
    assert {check.outcome for check in checks.values()} == {"passed"}
    assert {(check.failing_rows, check.failing_tenants) for check in checks.values()} == {(0, 0)}
    assert checks["raw_to_facts", "facts_are_as_landed"].checked_rows == 15


def test_the_rows_that_were_checked_are_told_of_every_tenant_and_table(world: World) -> None:
    world.land(["good", "empty"])
    world.build()
    world.spoil("delete from candidate.fct_usage_events where tenant_id = 'empty'")
    report = world.judge(world.tenants() | {"never-planned": 5})

    assert report.checked_rows["never-planned"] == dict.fromkeys(TABLES, 0)
    assert report.checked_rows["empty"]["fct_usage_events"] == 0
    expected = {
        table: world.admin.execute(f"select count(*) from candidate.{table} where tenant_id = 'good'".encode())  # noqa: S608
        for table in TABLES
    }
    assert report.checked_rows["good"] == {table: rows.fetchall()[0][0] for table, rows in expected.items()}


def test_rules_that_are_not_compiled_are_judged_all_the_same(world: World) -> None:
    world.land(["good", "bad"])
    world.build()
    world.spoil("update candidate.fct_usage_events set user_id = null where tenant_id = 'bad'")
    report = judge_with(
        world,
        known=lambda gx: gx.ExpectColumnValuesToNotBeNull(column="user_id", mostly=0.9),
        mostly_known=lambda gx: gx.ExpectColumnValuesToNotBeNull(column="user_id", mostly=0.1),
    )
    assert report.verdicts == {"good": VerdictState.FAILED, "bad": VerdictState.FAILED}
    assert {(finding.tenant_id, finding.rule, finding.failing_rows) for finding in report.findings} == {
        ("good", "known", 1),
        ("bad", "known", 5),
    }
    outcomes = {check.rule: (check.outcome, check.failing_rows) for check in report.checks}
    assert outcomes == {"known": ("failed", 6), "mostly_known": ("passed", 0)}


def test_one_rule_that_cannot_be_judged_is_told_apart_from_those_that_can(world: World) -> None:
    world.land(["good"])
    world.build()
    report = judge_with(
        world,
        sound=lambda gx: gx.ExpectColumnValuesToNotBeNull(column="event_id"),
        broken=no_rows("select tenant_id, lost from {batch}"),
        unmakeable=lambda gx: gx.ExpectNothing(),
    )
    assert report.verdicts == {"good": VerdictState.ERRORED}
    assert "unmakeable" in {check.rule for check in report.checks if check.outcome == "errored"}

    report = judge_with(
        world,
        sound=lambda gx: gx.ExpectColumnValuesToNotBeNull(column="event_id"),
        broken=no_rows("select tenant_id, lost from {batch}"),
        left=lambda gx: gx.ExpectColumnValuesToNotBeNull(column="user_id", mostly=0.1),
    )
    assert report.verdicts == {"good": VerdictState.ERRORED}
    assert {check.rule: check.outcome for check in report.checks} == {"sound": "passed", "broken": "errored"}
    assert 'column "lost" does not exist' in report.findings[0].detail


def test_a_suite_without_a_rule_on_rows_still_needs_its_table(world: World) -> None:
    world.land(["good"])
    world.build()
    world.spoil("alter table candidate.dim_users drop column tenant_id cascade")
    suites = [replace(suite, rules=()) for suite in SUITES]
    gate = ExpectationsGate(world.database.url(ServiceRole.PUBLISHER), suites=suites)
    report = gate.judge(promotion_id=2, tenants=world.tenants(), models=())
    assert report.verdicts == {"good": VerdictState.ERRORED}
