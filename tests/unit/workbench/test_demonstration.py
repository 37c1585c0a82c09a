"""The demo's proof fails wherever an event is missing, and its dirty tenant is dirty in one way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from checks.suites.raw_to_facts import CLOCK_TOLERANCE_SECONDS
from workbench.demonstration import (
    DIRTY_EVENTS,
    DIRTY_TENANT,
    Dataset,
    Whereabouts,
    contradictions,
    dirty_events,
    with_dirty_tenant,
)

ADDED = datetime(2026, 3, 2, 10, 30, 0, 123456, tzinfo=UTC)
SENT = {"acme": 100, DIRTY_TENANT: 240}


def found(**acme: int) -> list[Whereabouts]:
    """Where the events are if all is well, but for what is given of acme."""
    all_in_marts: dict[str, Any] = {"in_ledger": 100, "stored": 100, "in_marts": 100, "pending": 0}
    held = Whereabouts(tenant_id=DIRTY_TENANT, in_ledger=240, stored=240, in_marts=0, pending=240)
    return [Whereabouts(tenant_id="acme", **(all_in_marts | acme)), held]


def test_nothing_contradicts_what_was_promised() -> None:
    assert contradictions(found(), SENT, held=[DIRTY_TENANT]) == []


def test_events_that_somebody_else_sends_meanwhile_contradict_nothing() -> None:
    others = found(in_ledger=103, stored=103, in_marts=101, pending=2)
    assert contradictions(others, SENT, held=[DIRTY_TENANT]) == []


@pytest.mark.parametrize(
    ("acme", "told"),
    [
        ({"in_ledger": 99, "stored": 99, "in_marts": 99}, "100 events were acknowledged, but 99 are stored"),
        ({"in_ledger": 101}, "the ledger says 101"),
        ({"in_marts": 101}, "101 events in the marts and 0 pending are not the 100 stored"),
        ({"in_marts": 98, "pending": 2}, "only 98 events are in the marts, though nothing holds it"),
    ],
)
def test_an_event_that_is_missing_or_counted_twice_is_told(acme: dict[str, int], told: str) -> None:
    wrong = contradictions(found(**acme), SENT, held=[DIRTY_TENANT])
    assert any(sentence.startswith("acme: ") and told in sentence for sentence in wrong), wrong


@pytest.mark.parametrize("held", [[], ["acme"], ["acme", DIRTY_TENANT]])
def test_a_tenant_that_is_held_or_not_against_expectation_is_told(held: list[str]) -> None:
    assert contradictions(found(), SENT, held=held)


def test_the_dirty_tenant_sends_the_same_events_in_every_run_and_all_are_ahead() -> None:
    events = list(dirty_events(ADDED))
    assert events == list(dirty_events(ADDED))
    assert len({event["event_id"] for event in events}) == DIRTY_EVENTS
    tolerated = ADDED + timedelta(days=2, seconds=CLOCK_TOLERANCE_SECONDS)
    assert all(datetime.fromisoformat(str(event["occurred_at"])) > tolerated for event in events)


def test_the_dirty_tenant_is_sent_beside_the_rest() -> None:
    data = Dataset(title="", lines=[b"{}"], sent={"acme": 1}, some_invalid=False)
    both = with_dirty_tenant(data, ADDED)
    assert len(list(both.lines)) == 1 + DIRTY_EVENTS
    assert both.sent == {"acme": 1, DIRTY_TENANT: DIRTY_EVENTS}
