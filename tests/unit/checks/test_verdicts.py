"""Verdicts from what was seen and found: closed wherever there is a doubt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from checks.census import Seen
from checks.failing import FailingRows
from checks.rules import Rule, Severities, Severity
from checks.verdicts import Error, Failure, decide
from pipeline.core.verdicts import Finding, Report, VerdictState

TENANTS = {"acme": 3, "globex": 2}
ALL_SEEN = {"acme": Seen(raw_rows=3, fact_rows=3), "globex": Seen(raw_rows=2, fact_rows=2)}


def failure(*tenants: str | None, rule: str = "no_holes", severity: Severity = "stop", count: int = 1) -> Failure:
    """A rule with failing rows of these tenants."""
    broken = Rule(name=rule, severity=severity, why="Holes hurt.", expectation=lambda gx: gx)
    rows = FailingRows(count=count, samples=({"event_id": "e1"},))
    return Failure(boundary="raw_to_facts", rule=broken, rows=dict.fromkeys(tenants, rows))


def tuned(*tenants: str | None, severities: Severities, tells_of_others: bool = False) -> Failure:
    """The same with a rule that is not the same for all."""
    plain = failure(*tenants)
    rule = replace(plain.rule, severities=severities, tells_of_others=tells_of_others)
    return replace(plain, rule=rule)


def error(rule: str = "no_holes", **overrides: Any) -> Error:
    """A question without an answer."""
    return Error(**({"boundary": "raw_to_facts", "rule": rule, "reason": "it broke."} | overrides))


def verdict(**overrides: Any) -> Report:
    """The report on two tenants, both seen whole unless a test says otherwise."""
    return decide(TENANTS, **({"seen": ALL_SEEN, "failures": (), "errors": ()} | overrides))


def test_a_tenant_passes_when_it_was_seen_whole_and_no_rule_failed() -> None:
    assert verdict() == Report(verdicts=dict.fromkeys(TENANTS, VerdictState.PASSED))


def test_a_stop_rule_holds_the_tenants_of_its_rows_and_a_warning_holds_nobody() -> None:
    report = verdict(failures=(failure("acme", count=1200), failure("globex", rule="odd", severity="warn")))
    assert report.verdicts == {"acme": VerdictState.FAILED, "globex": VerdictState.PASSED}
    assert report.findings[0] == Finding(
        tenant_id="acme",
        boundary="raw_to_facts",
        rule="no_holes",
        severity="stop",
        outcome="failed",
        failing_rows=1200,
        detail="1,200 failing rows. Holes hurt.",
        samples=({"event_id": "e1"},),
    )
    assert [(finding.tenant_id, finding.severity) for finding in report.findings] == [
        ("acme", "stop"),
        ("globex", "warn"),
    ]


@pytest.mark.parametrize("severity", ["stop", "warn"])
def test_one_error_makes_everybody_errored_whatever_else_was_found(severity: Severity) -> None:
    report = verdict(failures=(failure("acme", rule="odd"),), errors=(error(severity=severity), error("other")))
    assert report.verdicts == dict.fromkeys(TENANTS, VerdictState.ERRORED)
    assert {(f.tenant_id, f.rule, f.outcome) for f in report.findings} == {
        ("acme", "odd", "failed"),
        ("acme", "no_holes", "errored"),
        ("globex", "no_holes", "errored"),
    }
    assert report.findings[-1].detail == (
        "It could not be judged: it broke. Nothing is known, so nothing is promoted. Neither could other."
    )


@pytest.mark.parametrize("stray", [None, "initech"])
def test_failing_rows_of_nobody_in_the_promotion_make_everybody_errored(stray: str | None) -> None:
    report = verdict(failures=(failure(stray, "acme"),))
    assert report.verdicts == dict.fromkeys(TENANTS, VerdictState.ERRORED)
    assert {finding.tenant_id for finding in report.findings} == set(TENANTS)
    assert len({(f.tenant_id, f.boundary, f.rule) for f in report.findings}) == len(report.findings)


def test_a_warning_about_nobody_in_the_promotion_is_not_told_to_others() -> None:
    assert verdict(failures=(failure("initech", severity="warn"),)) == verdict()


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        (None, VerdictState.UNSEEN),
        (Seen(raw_rows=4, fact_rows=4), VerdictState.UNSEEN),
        (Seen(raw_rows=3, fact_rows=0), VerdictState.EMPTY),
    ],
)
def test_unseen_and_empty_come_before_failed(seen: Seen | None, state: VerdictState) -> None:
    whole = {tenant: found for tenant, found in {**ALL_SEEN, "acme": seen}.items() if found is not None}
    report = verdict(seen=whole, failures=(failure("acme"),))
    assert report.verdicts == {"acme": state, "globex": VerdictState.PASSED}
    assert "acme" in {finding.tenant_id for finding in report.findings}


def test_a_tuned_rule_stops_warns_or_is_off_tenant_by_tenant() -> None:
    off_for_acme = tuned("acme", "globex", severities=Severities(otherwise="stop", tenants={"acme": "off"}))
    assert verdict(failures=(off_for_acme,)).verdicts == {"acme": VerdictState.PASSED, "globex": VerdictState.FAILED}
    assert [finding.tenant_id for finding in verdict(failures=(off_for_acme,)).findings] == ["globex"]
    stops_acme = tuned("acme", "globex", severities=Severities(otherwise="warn", tenants={"acme": "stop"}))
    report = verdict(failures=(stops_acme,))
    assert report.verdicts == {"acme": VerdictState.FAILED, "globex": VerdictState.PASSED}
    assert [(finding.tenant_id, finding.severity) for finding in report.findings] == [
        ("acme", "stop"),
        ("globex", "warn"),
    ]


def test_a_stray_row_counts_as_the_rule_does_for_its_tenant() -> None:
    for_nobody_else = Severities(otherwise="warn", tenants={"acme": "stop"})
    assert verdict(failures=(tuned("initech", None, severities=for_nobody_else),)) == verdict()
    for_initech = Severities(otherwise="warn", tenants={"initech": "stop"})
    report = verdict(failures=(tuned("initech", severities=for_initech),))
    assert report.verdicts == dict.fromkeys(TENANTS, VerdictState.ERRORED)


def test_a_rule_that_tells_of_others_finds_them_and_holds_nobody() -> None:
    warn = Severities(otherwise="warn", tenants={"umbrella": "off"})
    report = verdict(failures=(tuned("initech", "umbrella", "acme", None, severities=warn, tells_of_others=True),))
    assert report.verdicts == dict.fromkeys(TENANTS, VerdictState.PASSED)
    assert [(finding.tenant_id, finding.severity) for finding in report.findings] == [
        ("initech", "warn"),
        ("acme", "warn"),
    ]
