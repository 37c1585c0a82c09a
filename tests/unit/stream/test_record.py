"""The wire layout of records: pinned in version 1, the identity there and back, and nothing else decodes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.events import Event
from pipeline.stream.record import UndecodableRecord, decode_event, encode_event

SECRET = "hunter2"

# Whoever has to change this has changed the layout: the tag must change too, and both must decode.
VERSION_1 = (
    b"\x9b"  # an array of eleven
    b"\xa7event.1"
    b"\xa4acme"
    b"\xc4\x10\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff"
    b"\xaepage_view.seen"
    b"\xd6\xff\x69\xa5\x65\xe8"  # extension -1: seconds
    b"\xd7\xff\x00\x00\x0f\xa0\x69\xa5\x65\xe9"  # and with nanoseconds above them
    b"\xa2u1"
    b"\xc0"
    b'\xc4\x07{"a":1}'
    b"\xc4\x10" + b"h" * 16 + b"\xc4\x09original\xff"
)
EVENT_1 = Event(
    tenant_id="acme",
    event_id=UUID("00112233-4455-6677-8899-aabbccddeeff"),
    event_type="page_view.seen",
    occurred_at=datetime(2026, 3, 2, 10, 26, 48, tzinfo=UTC),
    received_at=datetime(2026, 3, 2, 10, 26, 49, 1, tzinfo=UTC),
    user_id="u1",
    session_id=None,
    properties=b'{"a":1}',
    payload_hash=b"h" * 16,
    original=b"original\xff",
)

texts = st.text(max_size=40)
moments = st.datetimes(timezones=st.just(UTC))
events = st.builds(
    Event,
    tenant_id=texts,
    event_id=st.uuids(allow_nil=True),
    event_type=texts,
    occurred_at=moments,
    received_at=moments,
    user_id=st.none() | texts,
    session_id=st.none() | texts,
    properties=st.binary(max_size=300),
    payload_hash=st.binary(max_size=16),
    original=st.binary(max_size=300),
)


def fields() -> list[object]:
    """The event of version 1 as an encoder without types takes it."""
    listed: list[object] = msgspec.msgpack.decode(VERSION_1)
    return listed


def test_the_layout_of_version_1_is_this() -> None:
    assert encode_event(EVENT_1) == VERSION_1
    assert decode_event(VERSION_1) == EVENT_1


@given(events)
def test_any_event_is_itself_again(original: Event) -> None:
    assert decode_event(encode_event(original)) == original


@given(events, st.integers(-14 * 60, 14 * 60))
def test_times_come_back_in_utc_whatever_zone_they_were_in(original: Event, minutes: int) -> None:
    moved = msgspec.structs.replace(
        original, received_at=datetime(2026, 3, 2, tzinfo=timezone(timedelta(minutes=minutes)))
    )
    decoded = decode_event(encode_event(moved))
    assert decoded.received_at == moved.received_at
    assert decoded.received_at.utcoffset() == timedelta(0)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_event(value: bytes) -> None:
    with pytest.raises(UndecodableRecord):
        decode_event(value)


@given(events, st.data())
def test_a_damaged_event_is_no_event_or_another_whole_one(original: Event, data: st.DataObject) -> None:
    value = bytearray(encode_event(original))
    position = data.draw(st.integers(0, len(value) - 1))
    value[position] ^= data.draw(st.integers(1, 255))
    try:
        decoded = decode_event(bytes(value))
    except UndecodableRecord:
        return
    assert decode_event(encode_event(decoded)) == decoded


@given(events, st.data())
def test_a_cut_event_and_one_with_more_behind_it_are_none(original: Event, data: st.DataObject) -> None:
    value = encode_event(original)
    length = data.draw(st.integers(0, len(value) - 1))
    for other in (value[:length], value + data.draw(st.binary(min_size=1, max_size=5))):
        with pytest.raises(UndecodableRecord):
            decode_event(other)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({0: "event.2"}, id="another tag"),
        pytest.param({0: SECRET}, id="a tag that may be anything"),
        pytest.param({0: 1}, id="a tag that is no text"),
        pytest.param({1: None}, id="no tenant"),
        pytest.param({1: b"\xff" + SECRET.encode()}, id="a tenant in bytes"),
        pytest.param({2: SECRET}, id="an id that is none"),
        pytest.param({2: b"short"}, id="an id that is too short"),
        pytest.param({3: 7}, id="a type that is no text"),
        pytest.param({4: "2026-03-02T10:30:00"}, id="a naive time"),
        pytest.param({5: "2026-03-02T10:30:00"}, id="a naive time of receipt"),
        pytest.param({5: None}, id="no time of receipt"),
        pytest.param({5: SECRET}, id="a time that is none"),
        pytest.param({6: 5}, id="a user that is no text"),
        pytest.param({8: {"password": SECRET}}, id="properties that are not encoded"),
        pytest.param({9: None}, id="no payload hash"),
        pytest.param({10: None}, id="no original"),
    ],
)
def test_fields_that_are_not_those_of_an_event_are_refused_without_a_word_of_them(changed: dict[int, object]) -> None:
    sent = [changed.get(number, value) for number, value in enumerate(fields())]
    assert_refused(msgspec.msgpack.encode(sent))


@pytest.mark.parametrize("count", range(11))
def test_missing_fields_are_refused(count: int) -> None:
    assert_refused(msgspec.msgpack.encode(fields()[:count]))


def test_more_fields_than_an_event_has_are_refused() -> None:
    """They would be dropped in silence."""
    assert_refused(msgspec.msgpack.encode([*fields(), SECRET]))


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b'{"event_type":"' + SECRET.encode() + b'"}', id="JSON"),
        pytest.param(msgspec.msgpack.encode({"type": "event.1", "tenant_id": SECRET}), id="a map"),
        pytest.param(VERSION_1.replace(b"page_view.seen", b"page_view\xff" + SECRET[:4].encode()), id="not UTF-8"),
        pytest.param(b"\x91" * 100_000, id="deeper than can be read"),
        pytest.param(b"\xdd\xff\xff\xff\xff", id="an array of billions"),
        pytest.param(b"\xdb\xff\xff\xff\xff", id="a text of gigabytes"),
        pytest.param(
            VERSION_1.replace(b"\xd6\xff\x69\xa5\x65\xe8", b"\xc7\x0c\xff\x00\x00\x00\x00" + b"\x7f" * 8),
            id="a far time",
        ),
    ],
)
def test_what_is_no_event_is_refused_without_a_word_of_it(value: bytes) -> None:
    assert_refused(value)


def assert_refused(value: bytes) -> None:
    """It does not decode, and the error's words are our own."""
    with pytest.raises(UndecodableRecord) as raised:
        decode_event(value)
    assert str(raised.value) in {
        "the record is no event: its fields are not those of an event",
        "the record is no event: it is no MessagePack",
    }
    assert SECRET not in str(raised.value)
