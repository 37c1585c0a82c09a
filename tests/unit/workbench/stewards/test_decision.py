"""What can be decided, what it is called, and how its end is told."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.workbench.stewards.holds import held, request
from workbench.stewards import __main__ as acting
from workbench.stewards.decision import Action, about, actions_for, outcome, problem_of


@pytest.mark.parametrize(
    ("verdict", "actions"),
    [
        ("failed", ["release", "rerun", "discard"]),
        ("rolled_back", ["release", "rerun", "discard"]),
        ("empty", ["rerun", "discard"]),
        ("errored", ["rerun"]),
        ("unseen", ["rerun"]),
    ],
)
def test_nothing_is_decided_about_what_nobody_could_judge_but_to_judge_it(verdict: str, actions: list[str]) -> None:
    assert actions_for(held(verdict=verdict)) == actions


@pytest.mark.parametrize(
    ("action", "reason", "problem"),
    [
        (None, "x", "Choose"),
        ("release", " \n", "Say why"),
        ("release", "x" * 2001, "2,001 characters are too many"),
    ],
)
def test_what_is_missing_is_said_before_anything_can_be_confirmed(
    action: Action | None, reason: str, problem: str
) -> None:
    assert problem in (problem_of(action, reason) or "")
    assert problem_of("release", "x" * 2000) is None


def test_before_it_is_confirmed_a_decision_says_what_will_happen() -> None:
    told = about(request("release"), held())
    assert told == "5 events of globex, judged by promotion 12, are published although clock_is_not_ahead failed."
    assert "never reach the marts: it is final" in about(request("discard"), held())
    assert "5 events of globex, and 1 event landed since, are judged again" in about(request("rerun"), held())
    assert "landed since" not in about(request("rerun"), held(events_since=0))


@pytest.mark.parametrize(
    ("action", "document", "ended", "told"),
    [
        ("release", {"id": 13, "promoted": {"globex": 5}, "held": {}}, "done", "5 events of globex published"),
        ("discard", {"events": 1, "closed": True}, "done", "1 event of globex discarded"),
        ("rerun", {"id": 13, "promoted": {}, "held": {}}, "done", "nothing to judge"),
    ],
)
def test_the_end_is_told_in_a_sentence(action: str, document: dict[str, Any], ended: str, told: str) -> None:
    ending = outcome(request(action), document)
    assert ending.ended == ended
    assert told in ending.told


def test_held_again_it_is_told_for_which_rules() -> None:
    findings = [
        {"rule": "clock_is_not_ahead", "severity": "stop", "outcome": "failed", "failing_rows": 2},
        {"rule": "event_is_not_late", "severity": "warn", "outcome": "failed", "failing_rows": 9},
    ]
    document = {"id": 13, "promoted": {}, "held": {"globex": {"state": "failed", "findings": findings}}}
    ending = outcome(request("rerun"), document)
    assert (ending.ended, ending.told) == (
        "held",
        "globex is held again, by promotion 13: clock_is_not_ahead (2 failing rows).",
    )
    document["held"]["globex"] = {"state": "unseen", "findings": []}  # type: ignore[index]
    assert outcome(request("rerun"), document).told.endswith("by promotion 13: unseen.")


def test_nothing_that_people_type_is_taken_for_an_option() -> None:
    words = acting.words(request("discard", reason="--yes --tenant x", tenant_id="--help"))
    assert words == ["holds", "discard", "--reason=--yes --tenant x", "--json", "--yes", "--", "--help"]
    assert "--yes" not in acting.words(request("release"))
