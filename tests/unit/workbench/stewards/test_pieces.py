"""The pieces of the Quality notebook: complete, and harmless whatever was sent."""

from __future__ import annotations

import msgspec
import polars as pl
import pytest

from tests.factories import MOMENT
from tests.unit.workbench.quality.reports import HOSTILE, full_report, held, report, tenant
from tests.unit.workbench.stewards.holds import details, failure, request
from tests.unit.workbench.stewards.holds import held as hold
from workbench.promotions import PromotionLine
from workbench.stewards import pieces
from workbench.stewards.decision import Outcome
from workbench.stewards.verdicts import EVERY_RULE, LISTED, PLACES, STATES, failing, lines, place_of, rule_names, trend
from workbench.stewardship import Decision


def test_why_a_tenant_is_held_is_told_with_rows() -> None:
    shown = pieces.why(details())
    for part in ("globex", "clock_is_not_ahead", "2 failing rows", "2026-03-02 10:30:00 UTC", "e1", "-1,000", "stops"):
        assert part in shown
    assert "No rule is on record" in pieces.why(details(failures=[]))
    assert "was undone for it" in pieces.why(details(hold=hold(cause="rollback", verdict="rolled_back")))


@pytest.mark.parametrize("text", HOSTILE)
def test_what_was_sent_is_text_and_never_markup(text: str) -> None:
    dirty = details(
        failures=[failure(detail=text, samples=[{text[:50]: text}])],
        decisions=[Decision(at=hold().held_since, actor=text, action=text, details={"reason": text})],
    )
    asked = request(reason=text)
    ended = Outcome(request=asked, ended="refused", told=text, remedy=text)
    shown = pieces.why(dirty) + pieces.decisions(dirty) + pieces.asked(asked, text, text[:9]) + pieces.ended(ended)
    for forbidden in ("<script", "<img", "<!--", "\u202e", "\x1b", "\x00", "\ud800"):
        assert forbidden not in shown
    assert "&lt;script&gt;" in shown or "<script" not in text


def test_a_long_list_of_held_tenants_says_what_it_leaves_out() -> None:
    shown = pieces.holds([hold(f"tenant-{number}") for number in range(pieces.MOST_HELD + 3)])
    assert shown.count('scope="row"') == pieces.MOST_HELD
    assert "3 more tenants not shown" in shown


def test_verdicts_are_by_tenant_and_rule_and_what_needs_somebody_is_first() -> None:
    found, left = lines(full_report(), which="noted")
    assert [(line.tenant_id, line.rule, line.is_first) for line in found] == [
        ("globex", "clock_is_not_ahead", True),
        ("globex", "gate_completes", False),
        ("hooli", None, True),
        ("initech", "clock_is_not_ahead", True),
    ]
    assert left == 0
    shown = pieces.verdicts(found, left)
    assert shown.count("every rule passed") == 1


@pytest.mark.parametrize(
    ("choice", "tenants"),
    [
        ({"which": "all"}, ["globex", "hooli", "initech", "umbrella", "acme"]),
        ({"which": "warned"}, ["umbrella"]),
        ({"which": "passed"}, ["umbrella", "acme"]),
        ({"which": "all", "rule": "event_is_not_late"}, ["umbrella"]),
        ({"which": "all", "named": " GLO "}, ["globex"]),
    ],
)
def test_tenants_are_chosen_by_how_they_fared_by_rule_and_by_name(choice: dict[str, str], tenants: list[str]) -> None:
    found, _ = lines(full_report(), **choice)
    assert list(dict.fromkeys(line.tenant_id for line in found)) == tenants


def test_of_thousands_of_tenants_a_page_lists_the_first_and_counts_the_rest() -> None:
    many = report(*(tenant(f"tenant-{number}") for number in range(LISTED + 50)))
    found, left = lines(many, which="all")
    assert (len(found), left) == (LISTED, 50)
    assert "50 more tenants not shown" in pieces.verdicts(found, left)


def test_rules_are_offered_the_heaviest_first() -> None:
    names = rule_names(full_report())
    assert names[0] == EVERY_RULE
    assert names[1] == "clock_is_not_ahead"
    assert set(names) == {EVERY_RULE, "clock_is_not_ahead", "gate_completes", "event_is_not_late"}
    assert rule_names(report(tenant())) == [EVERY_RULE]


def test_the_trend_is_in_the_order_of_time_with_each_verdict_for_each_promotion() -> None:
    frame = trend(report(held()).trend)
    names = frame["promotion"].unique(maintain_order=True).to_list()
    assert [name for name in names if name.strip()] == [str(number) for number in range(1, 13)]
    assert (len(names), names[-1]) == (PLACES, "12")
    assert frame.filter(pl.col("promotion") == "7")["verdict"].to_list() == list(STATES)
    assert failing(report().trend)["failing_rows"].sum() == 0


@pytest.mark.parametrize(("asked", "place"), [(None, 0), ("9", 0), ("7", 2), ("6", 0), ("' or true", 0)])
def test_an_address_names_a_promotion_of_the_list_or_the_newest_is_shown(asked: str | None, place: int) -> None:
    fields = {"state": "published", "started_at": MOMENT, "seconds": 3.0, "as_of": MOMENT, "asked_by": "airflow"}
    counts = {"events": 5, "promoted": 1, "held": 0, "undone": 0, "changed_rows": 9}
    rest = {"full_refresh": False, "undoable": True, "error": None}
    listed = [msgspec.convert({"promotion_id": each, **fields, **counts, **rest}, PromotionLine) for each in (9, 8, 7)]
    assert place_of(listed, asked) == place
