"""Where landing begins and goes on: new partitions, gaps, partitions that were made anew."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from pipeline.core.database import Database, ServiceRole
from pipeline.core.errors import OffsetsMoved
from pipeline.land.landing import StreamLander
from pipeline.stream.delivery import Move
from tests.integration.land.deliveries import TOPIC, Junk, deliver, everything, offsets


@pytest.fixture
def lander(database: Database) -> Iterator[StreamLander]:
    lander = StreamLander(lambda: database.connect(ServiceRole.LANDER))
    yield lander
    lander.close()


def gaps(admin: psycopg.Connection) -> list[tuple[object, ...]]:
    """Gaps by topic, partition and first offset."""
    return admin.execute(
        "select topic, partition, first_offset, next_offset from control.stream_gaps order by 1, 2, 3"
    ).fetchall()


def test_new_partitions_begin_with_the_earliest_record_that_they_hold(
    lander: StreamLander, admin: psycopg.Connection
) -> None:
    assert lander.find_offsets(TOPIC, {0: 0, 1: 70, 2: 2**62}) == {0: 0, 1: 70, 2: 2**62}
    assert offsets(admin) == {(TOPIC, 0): 0, (TOPIC, 1): 70, (TOPIC, 2): 2**62}
    assert gaps(admin) == []


def test_no_partitions_are_found_where_none_are_asked_for(lander: StreamLander) -> None:
    assert lander.find_offsets(TOPIC, {}) == {}


def test_partitions_go_on_where_they_were_and_only_those_asked_for_are_told(
    lander: StreamLander, admin: psycopg.Connection
) -> None:
    lander.find_offsets(TOPIC, {0: 0, 1: 0})
    lander.find_offsets("other", {0: 9})
    lander.land(deliver((0, Junk()), (0, Junk()), (1, Junk())))
    before = everything(admin)
    assert lander.find_offsets(TOPIC, {0: 0}) == {0: 2}
    assert lander.find_offsets(TOPIC, {0: 2, 1: 1}) == {0: 2, 1: 1}
    assert everything(admin) == before
    assert lander.find_offsets(TOPIC, {0: 1, 1: 0, 2: 4}) == {0: 2, 1: 1, 2: 4}
    assert gaps(admin) == []


def test_records_that_went_before_they_landed_are_a_gap_once(lander: StreamLander, admin: psycopg.Connection) -> None:
    lander.find_offsets(TOPIC, {0: 0, 1: 0})
    lander.find_offsets("other", {0: 0})
    lander.land(deliver((0, Junk())))
    for _ in range(3):
        assert lander.find_offsets(TOPIC, {0: 10, 1: 0}) == {0: 10, 1: 0}
    assert gaps(admin) == [(TOPIC, 0, 1, 10)]
    lander.land(deliver((0, Junk()), at={0: 10}))
    assert lander.find_offsets(TOPIC, {0: 30, 1: 5}) == {0: 30, 1: 5}
    assert gaps(admin) == [(TOPIC, 0, 1, 10), (TOPIC, 0, 11, 30), (TOPIC, 1, 0, 5)]
    assert offsets(admin) == {(TOPIC, 0): 30, (TOPIC, 1): 5, ("other", 0): 0}


def test_members_that_find_the_same_gap_at_once_record_it_once(database: Database, admin: psycopg.Connection) -> None:
    landers = [StreamLander(lambda: database.connect(ServiceRole.LANDER)) for _ in range(4)]
    with ThreadPoolExecutor(max_workers=4) as threads:
        for round_ in range(10):
            beginnings = dict.fromkeys(range(6), 5 * round_)
            orders = [beginnings, dict(reversed(beginnings.items()))] * 2
            found = threads.map(lambda pair: pair[0].find_offsets(TOPIC, pair[1]), zip(landers, orders, strict=True))
            assert list(found) == [beginnings] * 4
    assert gaps(admin) == [(TOPIC, p, 5 * n, 5 * n + 5) for p in range(6) for n in range(9)]
    for lander in landers:
        lander.close()


def test_a_delivery_from_before_a_gap_is_refused(lander: StreamLander) -> None:
    lander.find_offsets(TOPIC, {0: 0})
    delivery = deliver((0, Junk()))
    lander.find_offsets(TOPIC, {0: 10})
    with pytest.raises(OffsetsMoved):
        lander.land(delivery)


def test_a_restart_moves_back_and_is_audited(lander: StreamLander, admin: psycopg.Connection) -> None:
    lander.find_offsets(TOPIC, {0: 0, 1: 0, 2: 0})
    lander.land(deliver((0, Junk()), (0, Junk()), (1, Junk()), (2, Junk())))
    lander.restart(TOPIC, {0: Move(expected=2, next=0), 2: Move(expected=1, next=0)})
    assert offsets(admin) == {(TOPIC, 0): 0, (TOPIC, 1): 1, (TOPIC, 2): 0}
    [(actor, action, details)] = admin.execute("select actor, action, details from control.audit_log").fetchall()
    assert (actor, action) == ("workbench_lander", "restart topic")
    assert details == {"topic": TOPIC, "partitions": {"0": [2, 0], "2": [1, 0]}}


def test_a_restart_that_somebody_else_was_quicker_with_changes_nothing(
    lander: StreamLander, admin: psycopg.Connection
) -> None:
    lander.find_offsets(TOPIC, {0: 7, 1: 7})
    lander.restart(TOPIC, {0: Move(expected=7, next=0)})
    before = everything(admin)
    for moves in ({0: Move(expected=7, next=0)}, {1: Move(expected=7, next=0), 0: Move(expected=7, next=0)}):
        with pytest.raises(OffsetsMoved):
            lander.restart(TOPIC, moves)
    assert everything(admin) == before


def test_gaps_of_a_topic_that_was_made_anew_are_recorded_beside_the_old_ones(
    lander: StreamLander, admin: psycopg.Connection
) -> None:
    lander.find_offsets(TOPIC, {0: 0})
    lander.find_offsets(TOPIC, {0: 10})
    lander.restart(TOPIC, {0: Move(expected=10, next=0)})
    lander.find_offsets(TOPIC, {0: 4})
    assert (TOPIC, 0, 0, 4) in gaps(admin)
    assert (TOPIC, 0, 0, 10) in gaps(admin)
