"""What the report reads is what promotions left on record."""

from __future__ import annotations

import pytest

from pipeline.core.database import Database
from pipeline.core.errors import PromotionError, TenantError
from tests.unit.workbench.quality.reports import MOMENT
from workbench.quality.reading import DECISIONS_OF_TENANT, TREND_LENGTH, read_report
from workbench.quality.report import QualityReport


def read(database: Database, promotion: int | None = None, tenant: str | None = None) -> QualityReport:
    """A report."""
    return read_report(database, made_at=MOMENT, promotion_id=promotion, tenant_id=tenant)


def test_without_a_number_it_is_the_latest_promotion_that_judged(seeded: Database) -> None:
    report = read(seeded)
    promotion = report.promotion
    assert (promotion.promotion_id, promotion.state, promotion.seconds) == (5, "published", 5.5)
    assert (promotion.tenants, promotion.promoted, promotion.failed, promotion.unjudged) == (3, 1, 1, 1)
    assert (promotion.events, promotion.asked_by, promotion.undoable) == (77, "mira", True)
    assert read(seeded, tenant="acme").promotion.promotion_id == 5


def test_a_promotion_that_failed_after_its_checks_judged_but_holds_nobody_that_passed(seeded: Database) -> None:
    with seeded.connect_admin() as connection:
        connection.execute("update control.promotion_tenants set verdict = 'passed' where promotion_id = 4")
    report = read(seeded, 4)
    assert (report.promotion.judged, report.promotion.promoted, report.promotion.held) == (1, 0, 0)
    assert not report.promotion.is_out
    assert not report.tenants[0].held


def test_every_rule_is_there_those_that_passed_included(seeded: Database) -> None:
    checks = {check.rule: (check.outcome, check.checked_rows, check.failing_rows) for check in read(seeded).checks}
    assert checks == {
        "sums_agree": ("passed", 12, 0),
        "clock_is_not_ahead": ("failed", 37, 9),
        "event_is_not_late": ("failed", 37, 4),
        "volume_does_not_soar": ("errored", 37, 0),
    }


def test_who_is_held_comes_first_with_findings_and_what_would_change(seeded: Database) -> None:
    globex, initech, acme = read(seeded).tenants
    assert (globex.tenant_id, initech.tenant_id, acme.tenant_id) == ("globex", "initech", "acme")
    assert (globex.events, globex.verdict, globex.held, acme.held) == (30, "failed", True, False)
    assert globex.checked_rows == {"fct_usage_events": 30, "dim_users": 9}
    assert globex.figures_as_of is not None
    assert globex.figures_as_of.hour == 9
    assert initech.figures_as_of is None
    stops, warns = globex.findings
    assert (stops.rule, stops.why, stops.failing_rows, len(stops.samples)) == (
        "clock_is_not_ahead", "Days to come.", 9, 2,
    )  # fmt: skip
    assert (warns.rule, warns.stops) == ("event_is_not_late", False)
    assert [(change.mart, change.inserted) for change in globex.changes] == [("fct_usage_events", 30)]
    assert [(change.mart, change.inserted, change.updated) for change in acme.changes] == [
        ("dim_users", 1, 2), ("fct_usage_events", 7, 0),
    ]  # fmt: skip


def test_holds_and_decisions_are_told_of_who_was_held(seeded: Database) -> None:
    globex, initech, acme = read(seeded).tenants
    assert [hold.state for hold in globex.holds] == ["open"]
    assert globex.open_hold is not None
    assert [hold.verdict for hold in initech.holds] == ["empty"]
    assert [(decision.action, decision.reason) for decision in globex.decisions] == [
        ("release hold", "A fair."), ("discard events", "Load test."),
    ]  # fmt: skip
    assert globex.decisions[1].details == {"hold": 1}
    assert acme.decisions == []
    assert [decision.actor for decision in read(seeded, tenant="acme").tenants[0].decisions] == ["noor"]
    assert [hold.state for hold in read(seeded, 3).tenants[0].holds] == ["open", "released"]


def test_decisions_of_one_tenant_do_not_crowd_out_those_of_another(seeded: Database) -> None:
    with seeded.connect_admin() as connection:
        connection.execute(
            "insert into control.audit_log (actor, action, tenant_id)"
            " select 'mira', 'rerun hold', 'initech' from generate_series(1, 100)"
        )
    globex, initech, _ = read(seeded).tenants
    assert (len(globex.decisions), len(initech.decisions)) == (2, DECISIONS_OF_TENANT)


def test_the_trend_is_of_promotions_that_judged_up_to_the_reported_one(seeded: Database) -> None:
    points = [(point.promotion_id, point.promoted, point.held, point.failing_rows) for point in read(seeded).trend]
    assert points == [(1, 2, 0, 0), (3, 0, 1, 8), (5, 1, 2, 13)]
    assert [point.promotion_id for point in read(seeded, 3).trend] == [1, 3]
    of_tenant = read(seeded, tenant="globex").trend
    assert [(point.promotion_id, point.verdict, point.events, point.failing_rows) for point in of_tenant] == [
        (1, "passed", 10, 0), (3, "failed", 20, 8), (5, "failed", 30, 39),
    ]  # fmt: skip


def test_the_trend_ends_after_thirty_promotions(seeded: Database) -> None:
    with seeded.connect_admin() as connection:
        connection.execute(
            "insert into control.promotions (state, bound_xid, as_of, models_fingerprint)"
            " select 'published', '200', now(), 'm' from generate_series(1, 40)"
        )
        connection.execute(
            "insert into control.promotion_tenants"
            " (tenant_id, promotion_id, from_xid, full_refresh, raw_rows, verdict, promoted)"
            " select 'acme', promotion_id, '140', false, 1, 'passed', true from control.promotions"
            " where promotion_id > 6"
        )
    for report in (read(seeded), read(seeded, tenant="acme")):
        assert [point.promotion_id for point in report.trend] == list(range(47 - TREND_LENGTH, 47))


@pytest.mark.parametrize(
    ("promotion", "tenant", "told"),
    [
        (99, None, "There is no promotion 99: on record are 1 to 6. `workbench promotions list`"),
        (2, None, "Promotion 2 judged nothing: there was nothing new. The latest that judged is 5:"),
        (4, None, "Promotion 4 judged nothing: it failed before its checks: dbt broke. The latest"),
        (6, None, "Promotion 6 judged nothing: it is planned, and not at its checks yet. The latest"),
        (3, "acme", "Promotion 3 did not judge acme; these did: 5, 1. `workbench quality report --tenant acme`"),
        (5, "idle", "Promotion 5 did not judge idle, and no promotion has. `workbench promote --tenant idle`"),
        (None, "idle", "No promotion has judged anything of idle yet. `workbench promote` runs one."),
    ],
)
def test_what_there_is_no_report_of_is_told_with_what_there_is(
    seeded: Database, promotion: int | None, tenant: str | None, told: str
) -> None:
    with pytest.raises(PromotionError) as raised:
        read(seeded, promotion, tenant)
    assert str(raised.value).startswith(told)


def test_a_tenant_that_nobody_knows_is_told(seeded: Database) -> None:
    with pytest.raises(TenantError, match=r"no tenant nobody.*tenants list"):
        read(seeded, tenant="nobody")


def test_before_the_first_promotion_there_is_none(database: Database) -> None:
    for promotion in (None, 1):
        with pytest.raises(PromotionError, match="`workbench promote` runs one"):
            read(database, promotion)
