"""Rules that need more than the candidate: the register of tenants, and a tenant's own past."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import pytest

from checks.gate import ExpectationsGate
from checks.suites import SUITES, suites
from checks.tunable import Thresholds
from pipeline.core.database import ServiceRole
from pipeline.core.verdicts import Finding, Report, VerdictState
from tests.integration.checks.conftest import TABLES, World
from tests.integration.checks.test_parity import compiled, natively

HOUR = datetime(2026, 3, 3, 8, tzinfo=UTC)
"""One in which every tenant of the world sent an event of the window."""

ADD_TENANT = "insert into control.tenants (tenant_id, display_name, event_types, created_at) values (%s, 'x', %s, %s)"
NOTE = """
insert into control.ingest_ledger (tenant_id, hour, accepted, stored, duplicate, dead_lettered)
values (%(tenant)s, %(hour)s::timestamptz - %(week)s * interval '7 days', %(stored)s, %(stored)s, 0, 0)
"""
# Every hour of three days, up to so many hours before the one in which the promotion is planned.
NOTE_AGO = """
insert into control.ingest_ledger (tenant_id, hour, accepted, stored, duplicate, dead_lettered)
select %(tenant)s, hour - %(week)s * interval '7 days', %(each)s, %(each)s, 0, 0
from generate_series(
    timestamptz '2026-02-28 09:00Z',
    timestamptz '2026-03-03 09:00Z' - %(hours)s * interval '1 hour',
    interval '1 hour'
) as hour
"""


def judge(world: World, thresholds: Thresholds = Thresholds()) -> Report:  # noqa: B008 - a frozen value
    """Judge with rules that are tuned."""
    gate = ExpectationsGate(world.database.url(ServiceRole.PUBLISHER), suites=suites(thresholds))
    return gate.judge(promotion_id=2, tenants=world.tenants(), models=TABLES)


def told(report: Report, rule: str) -> dict[str, Finding]:
    """By tenant, what was found by a rule."""
    return {finding.tenant_id: finding for finding in report.findings if finding.rule == rule}


def note(world: World, tenant: str, stored: int, past: Iterable[int], hour: datetime = HOUR) -> None:
    """What the ledger has of an hour, and of the same hour of the weeks before, the last one first."""
    for week, count in enumerate([stored, *past]):
        world.spoil(NOTE, tenant=tenant, hour=hour, week=week, stored=count)


USUAL = (2000, 2100, 1900, 2050, 1950, 2000, 2200, 1800)
VOLUMES: Mapping[str, tuple[int, tuple[int, ...]]] = {
    "as-usual": (2300, USUAL),
    "soars": (9000, USUAL),
    "collapses": (100, USUAL),
    # What would be much for others.
    "swings": (9000, (500, 8000, 3000, 9500, 200, 7000, 4000, 6000)),
    "small": (90, (10, 12, 9, 11, 10, 8, 10, 12)),
    "young": (9000, USUAL[:3]),
    "four-weeks": (9000, USUAL[:4]),
    "one-odd-week": (2300, (2000, 2100, 90_000, 2050, 1950, 2000, 2200, 1800)),
    "even": (2900, (2000,) * 8),
    "even-soars": (3100, (2000,) * 8),
}


def test_an_hour_is_compared_with_the_same_hour_of_the_weeks_before(world: World) -> None:
    world.land(VOLUMES)
    for tenant, (stored, past) in VOLUMES.items():
        note(world, tenant, stored, past)
    world.build()
    report = judge(world)

    assert set(told(report, "volume_does_not_soar")) == {"soars", "four-weeks", "even-soars"}
    assert set(told(report, "volume_does_not_collapse")) == {"collapses"}
    assert set(report.verdicts.values()) == {VerdictState.PASSED}
    soars = told(report, "volume_does_not_soar")["soars"]
    assert (soars.severity, soars.failing_rows) == ("warn", 1)
    assert soars.samples[0] | {"deviation": 0} == {
        "hour": "2026-03-03T08:00:00+00:00",
        "stored": 9000,
        "usual": 2000.0,
        "deviation": 0,
        "weeks": 8,
    }


def test_volumes_are_tuned_tenant_by_tenant(world: World) -> None:
    world.land(VOLUMES)
    for tenant, (stored, past) in VOLUMES.items():
        note(world, tenant, stored, past)
    world.build()
    thresholds = Thresholds(
        defaults={"volume_does_not_soar": {"weeks": 8}},
        tenants={
            "soars": {"volume_does_not_soar": {"severity": "stop"}},
            "small": {"volume_does_not_soar": {"least_difference": 50}},
            "even-soars": {"volume_does_not_soar": {"severity": "off"}},
            "collapses": {"volume_does_not_collapse": {"share": 1.0}},
        },
    )
    report = judge(world, thresholds)

    severities = {tenant: finding.severity for tenant, finding in told(report, "volume_does_not_soar").items()}
    assert severities == {"soars": "stop", "small": "warn"}
    assert told(report, "volume_does_not_collapse") == {}
    assert {tenant for tenant, state in report.verdicts.items() if state is VerdictState.FAILED} == {"soars"}
    [check] = [check for check in report.checks if check.rule == "volume_does_not_soar"]
    # What is off is not counted either.
    assert (check.severity, check.failing_rows, check.failing_tenants) == ("stop", 2, 2)


def test_an_hour_in_which_nothing_came_is_missed_once_it_is_over(world: World) -> None:
    world.land(["stopped", "going-on"])
    for tenant in ("stopped", "going-on"):
        note(world, tenant, 2000 if tenant == "going-on" else 0, USUAL, hour=HOUR)
        # That one has only begun.
        note(world, tenant, 0, USUAL, hour=HOUR.replace(hour=9))
    world.build()
    found = told(judge(world), "volume_does_not_collapse")
    assert {tenant: [sample["stored"] for sample in finding.samples] for tenant, finding in found.items()} == {
        "stopped": [0]
    }


def test_an_hour_that_has_only_begun_cannot_be_too_low_but_too_high(world: World) -> None:
    world.land(["begun", "begun-and-soaring"])
    world.spoil("update raw.usage_events set received_at = now() + interval '10 minutes' where user_id = 'u3'")
    [begun] = world.admin.execute("select date_trunc('hour', now() + interval '10 minutes')").fetchall()
    note(world, "begun", 1, USUAL, hour=begun[0])
    note(world, "begun-and-soaring", 9000, USUAL, hour=begun[0])
    world.build()
    report = judge(world)
    assert told(report, "volume_does_not_collapse") == {}
    assert set(told(report, "volume_does_not_soar")) == {"begun-and-soaring"}


def test_hours_of_before_the_last_promotion_are_not_judged_again(world: World) -> None:
    world.land(["published", "held"])
    for tenant in ("published", "held"):
        note(world, tenant, 9000, USUAL)
    world.build()
    world.spoil(
        "insert into control.promotion_progress values ('published', '100', 1, '2026-03-04', 'models'), "
        "('held', '100', 1, '2026-03-01', 'models')"
    )
    assert set(told(judge(world), "volume_does_not_soar")) == {"held"}


def test_who_usually_sends_and_fell_silent_is_told_of_even_outside_of_the_promotion(world: World) -> None:
    tenants = ("sending", "silent", "silent-not-long", "irregular", "suspended", "tuned-off", "in-the-promotion")
    for tenant in tenants:
        world.admin.execute(ADD_TENANT, (tenant, None, "2026-01-01"))
        for week in range(1, 5):
            if not (tenant == "irregular" and week == 3):
                world.spoil(NOTE_AGO, tenant=tenant, week=week, hours=0, each=5)
        ago = {"sending": 0, "silent-not-long": 5}.get(tenant, 8)
        world.spoil(NOTE_AGO, tenant=tenant, week=0, hours=ago, each=5)
    world.spoil("update control.tenants set status = 'suspended', suspended_at = now() where tenant_id = 'suspended'")
    world.land(["good", "in-the-promotion"])
    world.build()
    off = Thresholds(tenants={"tuned-off": {"tenant_is_not_silent": {"severity": "off"}}})
    report = judge(world, off)

    found = told(report, "tenant_is_not_silent")
    assert set(found) == {"silent", "in-the-promotion"}
    assert {finding.severity for finding in found.values()} == {"warn"}
    assert report.verdicts == {"good": VerdictState.PASSED, "in-the-promotion": VerdictState.PASSED}
    patient = Thresholds(defaults={"tenant_is_not_silent": {"hours": 24}})
    assert told(judge(world, patient), "tenant_is_not_silent") == {}


def test_data_of_which_even_the_newest_came_long_ago_is_told(world: World) -> None:
    tenants = ("fresh", "a-day-old", "older", "refreshed", "refreshed-first")
    world.land(tenants)
    for tenant in ("older", "refreshed", "refreshed-first"):
        world.spoil(
            "update raw.usage_events set occurred_at = occurred_at - interval '25 hours', "
            "received_at = received_at - interval '25 hours' where tenant_id = %(tenant)s",
            tenant=tenant,
        )
    world.spoil(
        "update raw.usage_events set occurred_at = occurred_at - interval '23 hours 2 seconds', "
        "received_at = received_at - interval '23 hours 2 seconds' where tenant_id = 'a-day-old'"
    )
    world.build(refreshed=["refreshed", "refreshed-first"])
    world.spoil("insert into control.promotion_progress values ('refreshed', '100', 1, '2026-03-04', 'models')")
    report = judge(world)
    found = told(report, "data_is_fresh")
    # What is published and only built anew came long ago for good reason.
    assert set(found) == {"older", "refreshed-first"}
    assert found["older"].samples == (
        {"newest_received_at": "2026-03-02T07:00:02+00:00", "as_of": "2026-03-03T09:00:00+00:00"},
    )
    assert set(report.verdicts.values()) == {VerdictState.PASSED}
    tuned = Thresholds(
        defaults={"data_is_fresh": {"hours": 30}},
        tenants={"fresh": {"data_is_fresh": {"hours": 1, "severity": "stop"}}},
    )
    assert told(judge(world, tuned), "data_is_fresh") == {}


def test_a_clock_that_is_behind_is_told_from_the_freshest_event(world: World) -> None:
    tenants = ("behind", "one-is-fresh", "import", "right")
    world.land(tenants)
    for tenant, lag in (("behind", "2 hours"), ("one-is-fresh", "2 hours"), ("import", "30 hours")):
        world.spoil(
            "update raw.usage_events set received_at = occurred_at + %(lag)s::interval where tenant_id = %(tenant)s",
            tenant=tenant,
            lag=lag,
        )
    world.spoil(
        "update raw.usage_events set received_at = occurred_at where tenant_id = 'one-is-fresh' and user_id is null"
    )
    world.build()
    assert told(judge(world), "clock_is_not_behind") == {}
    found = told(judge(world, Thresholds(defaults={"clock_is_not_behind": {"events": 5}})), "clock_is_not_behind")
    assert set(found) == {"behind"}
    assert found["behind"].samples == ({"events": 5, "freshest_after_seconds": 7200},)
    patient = Thresholds(defaults={"clock_is_not_behind": {"events": 5, "seconds": 7200}})
    assert told(judge(world, patient), "clock_is_not_behind") == {}


def test_users_and_sessions_that_are_no_longer_known_are_told(world: World) -> None:
    rules = {"user": "user_share_is_usual", "session": "session_share_is_usual"}
    world.land(["as-before", "a-little-more", "never-known", "refreshed", "too-few", *rules])
    for tenant, column in (("user", "user_id"), ("session", "session_id"), ("refreshed", "user_id")):
        world.spoil(
            "update raw.usage_events set user_id = case when %(column)s <> 'user_id' then user_id end, "
            "session_id = case when %(column)s <> 'session_id' then session_id end "
            "where tenant_id = %(tenant)s and landed_xid = '150'",
            tenant=tenant,
            column=column,
        )
    world.spoil("update raw.usage_events set user_id = null where tenant_id = 'never-known'")
    # One of two before, and three of five now.
    world.spoil(
        "update raw.usage_events set user_id = null where tenant_id = 'a-little-more' "
        "and (user_id = 'u2' or event_type = 'api.call') and not (landed_xid = '150' and user_id = 'u2')"
    )
    world.spoil("update raw.usage_events set user_id = null where tenant_id = 'too-few' and landed_xid = '150'")
    world.build(refreshed=["refreshed"])
    tuned = Thresholds(
        defaults={rule: {"events": 2} for rule in rules.values()},
        tenants={"too-few": {rule: {"events": 3} for rule in rules.values()}},
    )
    report = judge(world, tuned)
    assert {rule: set(told(report, rule)) for rule in rules.values()} == {rule: {who} for who, rule in rules.items()}
    [sample] = told(report, "user_share_is_usual")["user"].samples
    assert sample == {"events": 5, "share_without": 1.0, "share_before": 0.0}
    patient = Thresholds(defaults={rule: {"events": 2, "points": 100} for rule in rules.values()})
    assert {rule for rule in rules.values() if told(judge(world, patient), rule)} == set()
    assert {rule for rule in rules.values() if told(judge(world), rule)} == set()


def test_a_large_part_of_types_that_the_tenant_never_had_is_told(world: World) -> None:
    world.land(["renamed", "as-before", "refreshed", "too-few"])
    world.spoil("update raw.usage_events set event_type = 'page_view' where tenant_id = 'as-before'")
    world.build(refreshed=["refreshed"])
    tuned = Thresholds(
        defaults={"event_types_are_known": {"events": 2, "share": 0.25}},
        tenants={"too-few": {"event_types_are_known": {"events": 3}}},
    )
    found = told(judge(world, tuned), "event_types_are_known")
    assert {tenant: finding.samples for tenant, finding in found.items()} == {
        "renamed": ({"event_type": "api.call", "events": 2, "all_events": 5},)
    }
    patient = Thresholds(defaults={"event_types_are_known": {"events": 2, "share": 0.5}})
    assert told(judge(world, patient), "event_types_are_known") == {}


def test_types_outside_of_the_plan_hold_their_tenant(world: World) -> None:
    plans = {
        "any": None,
        "both": ["page_view", "api.call"],
        "one": ["page_view"],
        "cut": ["api.call"],
        "cut-and-refreshed": ["api.call"],
        "refreshed": ["page_view"],
        "nothing": [],
    }
    for tenant, types in plans.items():
        world.admin.execute(ADD_TENANT, (tenant, types, "2026-01-01"))
    world.land([*plans, "unregistered"])
    world.build(refreshed=["cut-and-refreshed", "refreshed"])
    report = judge(world)
    found = told(report, "event_type_is_in_the_plan")
    # A full refresh repeats what is published: what it adds must be in the plan.
    assert {tenant: finding.failing_rows for tenant, finding in found.items()} == {
        "one": 2,
        "cut": 3,
        "refreshed": 2,
        "nothing": 5,
    }
    assert {tenant for tenant, state in report.verdicts.items() if state is VerdictState.FAILED} == set(found)
    softer = Thresholds(
        defaults={"event_type_is_in_the_plan": {"severity": "warn"}},
        tenants={"one": {"event_type_is_in_the_plan": {"severity": "off"}}},
    )
    report = judge(world, softer)
    assert set(told(report, "event_type_is_in_the_plan")) == {"cut", "refreshed", "nothing"}
    assert set(report.verdicts.values()) == {VerdictState.PASSED}


def test_events_of_long_before_the_tenant_are_told(world: World) -> None:
    for tenant, created in {"early": "2026-06-10", "soon": "2026-05-20", "tuned": "2026-06-10"}.items():
        world.admin.execute(ADD_TENANT, (tenant, None, created))
    world.land(["early", "soon", "tuned", "unregistered"])
    world.build()
    rule = "event_is_not_before_the_tenant"
    tuned = Thresholds(defaults={rule: {"days": 90}}, tenants={"tuned": {rule: {"days": 3650}}})
    report = judge(world, tuned)
    found = told(report, rule)
    assert {tenant: finding.failing_rows for tenant, finding in found.items()} == {"early": 5}
    assert told(judge(world), rule) == {}
    assert report.verdicts["early"] is VerdictState.PASSED


def test_late_events_and_clocks_ahead_are_tuned_tenant_by_tenant(world: World) -> None:
    world.land(["ahead", "ahead-tuned", "late", "late-tuned", "late-off", "long-visit"])
    world.spoil(
        "update raw.usage_events set received_at = occurred_at - interval '2 hours' "
        "where tenant_id like 'ahead%%' and user_id = 'u3'"
    )
    world.spoil(
        "update raw.usage_events set received_at = occurred_at + interval '31 days' "
        "where tenant_id like 'late%%' and user_id = 'u3'"
    )
    world.build()
    tuned = Thresholds(
        tenants={
            "ahead-tuned": {"clock_is_not_ahead": {"seconds": 7200}},
            "late": {"event_is_not_late": {"severity": "stop"}},
            "late-tuned": {"event_is_not_late": {"days": 31}},
            "late-off": {"event_is_not_late": {"severity": "off"}},
            "long-visit": {"visits_are_not_endless": {"days": 0.01, "severity": "stop"}},
        },
    )
    world.spoil("update candidate.fct_sessions set duration_seconds = 900 where tenant_id = 'long-visit'")
    report = judge(world, tuned)
    assert set(told(report, "clock_is_not_ahead")) == {"ahead"}
    assert set(told(report, "event_is_not_late")) == {"late"}
    assert set(told(report, "visits_are_not_endless")) == {"long-visit"}
    failed = {tenant for tenant, state in report.verdicts.items() if state is VerdictState.FAILED}
    assert failed == {"ahead", "late", "long-visit"}


def test_what_is_found_is_what_great_expectations_finds(world: World) -> None:
    world.admin.execute(ADD_TENANT, ("soars", ["page_view"], "2026-06-10"))
    world.land(VOLUMES)
    for tenant, (stored, past) in VOLUMES.items():
        note(world, tenant, stored, past, hour=HOUR.replace(hour=10))
    world.spoil("update raw.usage_events set user_id = null, session_id = null where landed_xid = '150'")
    world.spoil("update raw.usage_events set received_at = occurred_at + interval '2 hours'")
    world.build()
    events = {
        "user_share_is_usual": 2,
        "session_share_is_usual": 2,
        "event_types_are_known": 2,
        "clock_is_not_behind": 2,
    }
    tuned = suites(
        Thresholds(
            defaults={rule: {"events": count} for rule, count in events.items()}
            | {
                "event_types_are_known": {"events": 2, "share": 0.25},
                "event_is_not_before_the_tenant": {"days": 90},
                "data_is_fresh": {"hours": 1},
            }
        )
    )
    ours = compiled(world, tuned)
    assert ours == natively(world, tuned)
    failed = {rule for (_, rule), outcome in ours.items() if outcome == "failed"}
    assert {*events, "volume_does_not_soar", "event_type_is_in_the_plan", "event_is_not_before_the_tenant"} <= failed


@pytest.mark.parametrize("tenants", [("acme",), tuple(f"tenant-{number}" for number in range(300))])
def test_a_rule_that_is_off_finds_nothing_and_one_that_is_off_for_all_is_not_evaluated(
    world: World, tenants: tuple[str, ...]
) -> None:
    world.land([*tenants, "other"])
    world.spoil("update raw.usage_events set received_at = occurred_at - interval '2 hours'")
    world.build()
    off = Thresholds(tenants={tenant: {"clock_is_not_ahead": {"severity": "off"}} for tenant in tenants})
    assert set(told(judge(world, off), "clock_is_not_ahead")) == {"other"}
    report = judge(world, Thresholds(defaults={"clock_is_not_ahead": {"severity": "off"}}))
    assert {check.rule for check in report.checks if check.boundary != "other_models"} == {
        rule.name for suite in SUITES for rule in suite.rules
    } - {"clock_is_not_ahead"}
