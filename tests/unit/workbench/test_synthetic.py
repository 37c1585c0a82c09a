"""Synthetic usage is the same for the same seed, shaped like usage, and as dirty as it says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from random import Random
from uuid import uuid4

import msgspec
import pytest

from pipeline.core.events import Event, InvalidEventError, decode_event
from pipeline.core.settings import IngestLimits
from workbench.synthetic import DAYS, UNTIL, Population, history, live

NOW = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)
SENT = 20_000


def judged(events: Iterable[dict[str, object]]) -> tuple[list[Event], int]:
    """The events that the contract accepts, in their order, and how many it does not."""
    valid, invalid = [], 0
    for sent in events:
        fields = dict(sent)
        tenant_id = str(fields.pop("tenant_id"))
        try:
            event = decode_event(
                msgspec.json.encode(fields),
                tenant_id=tenant_id,
                received_at=NOW,
                limits=IngestLimits(),
                allowed_types=None,
                new_id=uuid4,
            )
        except InvalidEventError:
            invalid += 1
        else:
            valid.append(event)
    return valid, invalid


@pytest.fixture(scope="module")
def population() -> Population:
    return Population(tenants=8, seed=7)


@pytest.fixture(scope="module")
def events(population: Population) -> list[Event]:
    valid, invalid = judged(history(population, events=SENT))
    assert 0 < invalid < SENT / 100
    return valid


def test_the_same_seed_gives_the_same_events_and_another_gives_others() -> None:
    def made(seed: int) -> list[dict[str, object]]:
        return list(history(Population(tenants=3, seed=seed), events=500))

    assert made(1) == made(1)
    assert made(1) != made(2)


def test_there_are_as_many_distinct_events_as_asked_for(population: Population, events: list[Event]) -> None:
    distinct = {(event.tenant_id, event.event_id): event.payload_hash for event in events}
    assert Counter(tenant_id for tenant_id, _ in distinct) == population.sizes(SENT)
    assert SENT < len(events) < SENT * 1.05, "some came twice"
    for event in events:
        assert distinct[event.tenant_id, event.event_id] == event.payload_hash, "with the same content"


def test_tenants_differ_in_size_and_users_in_diligence(population: Population, events: list[Event]) -> None:
    sizes = list(population.sizes(SENT).values())
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 5 * sizes[-1]
    [tenant, _] = Counter(event.tenant_id for event in events).most_common(1)[0]
    users = Counter(event.user_id for event in events if event.tenant_id == tenant)
    tenth = users.most_common(len(users) // 10)
    assert sum(count for _, count in tenth) > 0.3 * users.total()


def test_work_is_done_by_day_and_on_weekdays_locally(population: Population, events: list[Event]) -> None:
    zones = {tenant.tenant_id: tenant.zone for tenant in population.tenants}
    local = [event.occurred_at.astimezone(zones[event.tenant_id]) for event in events]
    hours, days = Counter(moment.hour for moment in local), Counter(moment.weekday() for moment in local)
    assert hours[10] > 10 * hours[3]
    assert min(days[day] for day in range(5)) > 2 * max(days[day] for day in (5, 6))
    day = timedelta(days=1)
    assert UNTIL - (DAYS + 1) * day < min(local) < max(local) < UNTIL + day


def test_some_events_come_hours_late(events: list[Event]) -> None:
    hour = timedelta(hours=1)
    late = sum(later.occurred_at < earlier.occurred_at - hour for earlier, later in pairwise(events))
    assert 0.005 * SENT < late < 0.05 * SENT


def test_live_events_are_valid_and_of_the_moment_in_which_they_are_asked_for(population: Population) -> None:
    valid, invalid = judged(islice(live(population, Random(1), lambda: NOW), 100))
    assert invalid == 0
    assert {event.occurred_at for event in valid} == {NOW}
