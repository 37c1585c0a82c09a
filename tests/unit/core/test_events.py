"""The event contract: what is accepted and how it is kept. What is refused: test_events_refused.py."""

from __future__ import annotations

import hashlib
import json
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.canonical import payload_hash
from pipeline.core.events import Event, decode_event
from pipeline.core.settings import IngestLimits

RECEIVED = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)
GIVEN_ID = UUID("01900000-0000-7000-8000-000000000001")

EXACT_TENTH = "0.1000000000000000055511151231257827021181583404541015625"


def decode(raw: bytes | dict[str, Any], limits: IngestLimits | None = None, received: datetime = RECEIVED) -> Event:
    return decode_event(
        raw if isinstance(raw, bytes) else json.dumps(raw).encode(),
        tenant_id="acme",
        received_at=received,
        limits=limits or IngestLimits(),
        allowed_types=None,
        new_id=lambda: GIVEN_ID,
    )


def test_an_event_keeps_what_was_sent_in_canonical_form() -> None:
    raw = b""" {"event_id": "018F2D5E-7c4a-7b1e-9d3f-2a6b8c0d4e5f", "event_type": "report.opened",
        "occurred_at": "2026-03-02T11:29:59.123456789+01:00", "user_id": "u\\u00fc", "session_id": null,
        "properties": {"b": 1.50, "a": [1e2, true, null, {"z": "\\/", "y": 0.0}]}}"""
    assert decode(raw) == Event(
        tenant_id="acme",
        event_id=UUID("018f2d5e-7c4a-7b1e-9d3f-2a6b8c0d4e5f"),
        event_type="report.opened",
        occurred_at=datetime(2026, 3, 2, 10, 29, 59, 123457, tzinfo=UTC),
        received_at=RECEIVED,
        user_id="uü",
        session_id=None,
        properties=b'{"a":[100,true,null,{"y":0,"z":"/"}],"b":1.5}',
        payload_hash=payload_hash(
            event_type="report.opened",
            occurred_at=datetime(2026, 3, 2, 10, 29, 59, 123457, tzinfo=UTC),
            user_id="uü",
            session_id=None,
            properties=b'{"a":[100,true,null,{"y":0,"z":"/"}],"b":1.5}',
        ),
        original=raw,
    )


def test_the_recipe_of_the_payload_hash_does_not_change() -> None:
    """Stored hashes are compared with those of resends for as long as the data lives."""
    hashed = payload_hash(
        event_type="page_view",
        occurred_at=datetime(2026, 1, 2, 3, 4, 5, 600, tzinfo=UTC),
        user_id="u",
        session_id=None,
        properties=b'{"a":1}',
    )
    text = b'["page_view","2026-01-02T03:04:05.000600Z","u",null]{"a":1}'
    assert hashed == hashlib.blake2b(text, digest_size=16).digest()


def test_an_event_without_id_and_time_gets_both_and_a_resend_has_the_same_hash() -> None:
    first = decode({"event_type": "page_view"})
    resent = decode({"event_type": "page_view"}, received=RECEIVED + timedelta(hours=1))
    assert (first.event_id, first.occurred_at, first.properties) == (GIVEN_ID, RECEIVED, b"{}")
    assert resent.payload_hash == first.payload_hash
    assert decode({"event_type": "page_view", "occurred_at": RECEIVED.isoformat()}).payload_hash != first.payload_hash


@pytest.mark.parametrize(
    ("spelling", "kept"),
    [
        ("9223372036854775807", "9223372036854775807"),
        ("-9223372036854775808.0", "-9223372036854775808"),
        ("-0", "0"),
        ("-0.0e7", "0"),
        ("0e-99999999999999999999", "0"),
        ("12345678901234567890.5", "12345678901234567890.5"),
        ("0.10000000000000001", "0.10000000000000001"),
        (EXACT_TENTH, EXACT_TENTH),
        ("1e22", "1E+22"),
        ("1.7976931348623157e308", "1.7976931348623157E+308"),
        ("5e-324", "5E-324"),
    ],
)
def test_a_number_keeps_every_digit_in_one_spelling(spelling: str, kept: str) -> None:
    raw = f'{{"event_type": "a", "properties": {{"n": {spelling}}}}}'.encode()
    assert decode(raw).properties == f'{{"n":{kept}}}'.encode()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('"properties": {"a": true}', '"properties": {"a": 1}'),
        ('"properties": {"a": "1"}', '"properties": {"a": 1}'),
        ('"properties": {"a": null}', '"properties": {}'),
        ('"properties": {"a": 0.1}', '"properties": {"a": 0.10000000000000001}'),
        ('"properties": {"a": 9007199254740993.0}', '"properties": {"a": 9007199254740992}'),
        ('"user_id": "x"', '"session_id": "x"'),
        ('"user_id": "1"', '"user_id": "2"'),
        ('"occurred_at": "2026-03-02T10:30:00Z"', '"occurred_at": "2026-03-02T10:30:00.000001Z"'),
    ],
)
def test_different_content_has_different_hashes(one: str, other: str) -> None:
    hashes = {decode(f'{{"event_type": "a", {each}}}'.encode()).payload_hash for each in (one, other)}
    assert len(hashes) == 2


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
numbers = st.integers(-(2**63), 2**63 - 1) | st.decimals(-(10**9), 10**9, places=4)
values = st.recursive(
    st.none() | st.booleans() | texts | numbers,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts, values, max_size=5)


def spell(value: object, choose: random.Random) -> str:
    """One of the many JSON texts of a value."""
    space = choose.choice(["", " ", "\n\t"])
    if isinstance(value, dict):
        items = [f"{spell(key, choose)}{space}:{spell(item, choose)}" for key, item in value.items()]
        choose.shuffle(items)
        return f"{space}{{{','.join(items)}}}"
    if isinstance(value, list):
        return f"[{space}{','.join(spell(item, choose) for item in value)}]{space}"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=choose.random() < 0.5)
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        number = Decimal(value)
        return choose.choice([f"{value}", f"{number:.6f}", f"{number:.30e}"])
    return json.dumps(value)


@settings(deadline=None)
@given(objects, st.randoms(use_true_random=False))
def test_the_order_of_keys_and_the_spelling_of_values_make_no_conflict(
    properties: dict[str, object], choose: random.Random
) -> None:
    one, other = (decode(spell({"event_type": "a", "properties": properties}, choose).encode()) for _ in range(2))
    assert one.properties == other.properties
    assert one.payload_hash == other.payload_hash
    assert json.loads(one.properties, parse_float=Decimal) == properties
