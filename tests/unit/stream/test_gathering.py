"""What is gathered is what was read: nothing skipped, in order, within bounds, and never backwards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from pipeline.stream.delivery import Move, Origin
from pipeline.stream.gathering import Gatherer, Misplaced
from pipeline.stream.record import encode_event
from tests.factories import MOMENT, event

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
GOOD = encode_event(event())


def consumed(offset: int, value: bytes | None = GOOD, *, partition: int = 0, **overrides: Any) -> ConsumerRecord:
    fields: dict[str, Any] = {
        "topic": "events",
        "partition": partition,
        "offset": offset,
        "timestamp": int(MOMENT.timestamp() * 1000),
        "timestamp_type": 1,
        "key": b"acme",
        "value": value,
        "checksum": None,
        "serialized_key_size": 4,
        "serialized_value_size": len(value or b""),
        "headers": (),
    } | overrides
    return ConsumerRecord(**fields)


def gatherer(expected: dict[int, int], *, most_records: int = 1_000, most_bytes: int = 1 << 20) -> Gatherer:
    return Gatherer("events", expected, most_records=most_records, most_bytes=most_bytes, clock=lambda: NOW)


# Stretches as a consumer takes them: a partition, and of each record how many offsets are left out before it
# and whether it holds an event.
stretches = st.lists(
    st.tuples(st.integers(0, 3), st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=6)),
    max_size=12,
)


@given(stretches, st.integers(0, 1_000))
def test_everything_that_was_taken_is_in_the_delivery_once_and_in_order(stretches: Any, start: int) -> None:
    expected = {partition: start + partition for partition in range(4)}
    following = dict(expected)
    sent: dict[int, list[tuple[int, bytes]]] = {partition: [] for partition in range(4)}
    gathering = gatherer(expected)
    for partition, records in stretches:
        taken = []
        for skipped, good in records:
            offset = following[partition] + skipped
            value = encode_event(event(original=b"%d" % offset)) if good else b"junk %d" % offset
            following[partition] = offset + 1
            sent[partition].append((offset, value))
            taken.append(consumed(offset, value, partition=partition))
        gathering.take(partition, taken)
    delivery = gathering.delivery()
    assert gathering.is_empty == (not stretches)
    assert delivery.topic == "events"
    assert len(delivery.events) == len(delivery.origins)
    assert delivery.records == sum(map(len, sent.values())) == 1_000 - gathering.room
    for partition, records in sent.items():
        events = [
            (origin.offset, encode_event(each))
            for each, origin in zip(delivery.events, delivery.origins, strict=True)
            if origin.partition == partition
        ]
        junk = [
            (each.origin.offset, each.original) for each in delivery.undecodable if each.origin.partition == partition
        ]
        assert events == sorted(events)
        assert junk == sorted(junk)
        assert sorted(events + junk) == records
    assert delivery.moves == {
        partition: Move(expected=expected[partition], next=following[partition])
        for partition, records in sent.items()
        if records
    }


def test_it_says_when_it_is_full_by_number() -> None:
    gathering = gatherer({0: 0, 1: 0}, most_records=3)
    assert (gathering.room, gathering.is_empty) == (3, True)
    gathering.take(0, [consumed(0)])
    gathering.take(1, [consumed(0, b"junk", partition=1)])
    assert (gathering.room, gathering.is_empty) == (1, False)
    gathering.take(0, [consumed(1)])
    assert gathering.room == 0


@pytest.mark.parametrize("value", [GOOD, b"\0" * len(GOOD)], ids=["events", "records that are none"])
def test_it_says_when_it_is_full_by_bytes(value: bytes) -> None:
    gathering = gatherer({0: 0}, most_bytes=2 * len(GOOD))
    gathering.take(0, [consumed(0, value)])
    assert gathering.room
    gathering.take(0, [consumed(1, value)])
    assert gathering.room == 0
    assert gathering.delivery().moves == {0: Move(expected=0, next=2)}


@pytest.mark.parametrize(
    ("before", "offset"),
    [((), 4), ((5, 6), 6), ((5, 6), 5), ((5, 9), 8)],
    ids=["first", "again", "earlier", "in a hole"],
)
def test_going_back_is_misplaced(before: tuple[int, ...], offset: int) -> None:
    gathering = gatherer({0: 5})
    gathering.take(0, [consumed(each) for each in before])
    with pytest.raises(Misplaced):
        gathering.take(0, [consumed(offset)])


def test_going_back_within_what_was_read_at_once_is_misplaced() -> None:
    with pytest.raises(Misplaced):
        gatherer({0: 0}).take(0, [consumed(0), consumed(1), consumed(1)])


def test_offsets_may_be_left_out() -> None:
    gathering = gatherer({0: 5})
    gathering.take(0, [consumed(7), consumed(9)])
    delivery = gathering.delivery()
    assert [origin.offset for origin in delivery.origins] == [7, 9]
    assert delivery.moves == {0: Move(expected=5, next=10)}


@pytest.mark.parametrize(
    ("key", "tenant_id"),
    [(b"acme", "acme"), (None, ""), (b"", ""), (b"\xff\x00a", "\ufffd\0a"), ("größe".encode(), "größe")],
)
@pytest.mark.parametrize("value", [None, b"", b"junk", b"\xff" * 9])
def test_a_record_without_an_event_is_kept_with_its_bytes_key_and_origin(
    key: bytes | None, tenant_id: str, value: bytes | None
) -> None:
    gathering = gatherer({0: 3})
    gathering.take(0, [consumed(3, value, key=key)])
    [found] = gathering.delivery().undecodable
    assert found.original == (value or b"")
    assert found.tenant_id == tenant_id
    assert found.origin == Origin("events", 0, 3)
    assert found.received_at == MOMENT
    assert found.detail.startswith("the record is no event")
    assert not gathering.delivery().events
    assert not gathering.is_empty


@pytest.mark.parametrize(
    ("timestamp", "received_at"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (253_402_300_799_999, datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)),
        (253_402_300_800_000, NOW),
        (2**63 - 1, NOW),
        (-1, NOW),
        (-(2**63), NOW),
    ],
)
def test_a_timestamp_that_is_no_time_gives_way_to_the_clock(timestamp: int, received_at: datetime) -> None:
    gathering = gatherer({0: 0})
    gathering.take(0, [consumed(0, b"junk", timestamp=timestamp)])
    [found] = gathering.delivery().undecodable
    assert found.received_at == received_at
    assert found.received_at.utcoffset() == timedelta(0)


def test_the_delivery_before_is_left_as_it_is_by_the_next_one() -> None:
    expected = {0: 0, 1: 0}
    first = gatherer(expected)
    first.take(0, [consumed(0), consumed(1)])
    delivery = first.delivery()
    second = gatherer(expected | {partition: move.next for partition, move in delivery.moves.items()})
    second.take(0, [consumed(2)])
    second.take(1, [consumed(0, partition=1)])
    assert delivery.moves == {0: Move(expected=0, next=2)}
    assert second.delivery().moves == {0: Move(expected=2, next=3), 1: Move(expected=0, next=1)}
