"""The short way takes an event only where the close look finds the same in it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.events import _is_type, _look_closely
from pipeline.core.plain import read_plain
from pipeline.core.settings import IngestLimits

LIMITS = IngestLimits(event_bytes=400, depth=2, keys=4, string_length=300)

# Texts, not values: what the two ways could differ in is how a thing is spelled.
names = st.sampled_from(["event_type", "event_id", "occurred_at", "user_id", "session_id", "properties"])
odd_names = st.sampled_from(["evil", "Event_type", "event\\u005ftype", "user_id:", ""])
texts = st.sampled_from(
    [
        '"page_view"',
        '"Page View"',
        '"a:b"',
        '"a\\u003ab"',
        '"\\u0000"',
        '"\\\\u0000"',
        '"\\ud83d\\ude00"',
        '"\\ud83d"',
        '""',
        '"ü"',
        f'"{"x" * 257}"',
        '"01900000-0000-7000-8000-000000000001"',
        '"0190000000007000800000000000000100001"',
        '"01900000000070008000000000000001"',
        '"{01900000-0000-7000-8000-00000000000}"',
        '"2026-03-02T10:30:00Z"',
        '"2026-03-02T10:30:00+00:00"',
        '"2026-03-02T10:30:00-00:00"',
        '"2026-03-02T10:30:00+01:00"',
        '"2026-03-02T10:30:00"',
        '"1969-12-31T23:59:59Z"',
        '"2100-01-01T00:00:00Z"',
        "null",
        "true",
        "1",
        "1.50",
        "1e2",
        "-0.0",
        "1e999",
        "1e-999",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551616",
        "[]",
        "[1]",
        "{}",
        "NaN",
    ]
)
odd_keys = st.sampled_from(["a", "b", "a:", "\\u0061", "a\\u003a", "\\u0000"])


def objects(keys: st.SearchStrategy[str], values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """JSON objects as texts, whose keys may occur twice."""
    return st.lists(st.tuples(keys, values), max_size=6).map(
        lambda pairs: "{" + ", ".join(f'"{key}": {value}' for key, value in pairs) + "}"
    )


properties = objects(odd_keys, texts | objects(odd_keys, texts))


def mostly(good: str) -> st.SearchStrategy[str]:
    """What fits, or now and then anything: an event with one oddity shows more than one with five."""
    return st.integers(0, 9).flatmap(lambda chance: texts if chance == 0 else st.just(good))


usual = st.fixed_dictionaries(
    {"event_type": mostly('"page_view"'), "properties": objects(odd_keys, texts) | properties},
    optional={
        "event_id": mostly('"01900000-0000-7000-8000-000000000001"'),
        "occurred_at": mostly('"2026-03-02T10:30:00Z"'),
        "user_id": mostly('"u:1"'),
        "session_id": mostly('"s1"'),
    },
).map(lambda fields: "{" + ",".join(f'"{key}":{value}' for key, value in fields.items()) + "}")
odd = objects(names | odd_names, texts | properties)


@settings(max_examples=1_000)
@given((usual | odd | texts).map(str.encode), st.sampled_from([b"", b" ", b"\xef\xbb\xbf", b"\xff"]))
def test_what_the_short_way_takes_is_what_the_close_look_finds(text: bytes, before: bytes) -> None:
    raw = before + text
    plain = read_plain(raw, LIMITS, is_type=_is_type)
    if plain is not None:
        assert plain == _look_closely(raw, LIMITS)


@pytest.mark.parametrize(
    "rest",
    [
        '"properties": {"n": 9223372036854775808}',
        '"properties": {"a": 1, "b": 1, "c": 1, "d": 1, "e": 1}',
        '"properties": {"a": {"b": 1}}',
        '"properties": {"a": [1]}',
        '"properties": {"a": 1, "a": 2}',
        '"properties": {"a": "\\u0000"}',
        '"occurred_at": "1969-12-31T23:59:59Z"',
        '"occurred_at": "2100-01-01T00:00:00Z"',
        '"occurred_at": "2026-03-02T10:30:00+01:00"',
        '"occurred_at": "2026-03-02T10:30:00"',
        '"occurred_at": ""',
        '"event_id": "01900000000070008000000000000001"',
        '"user_id": ""',
        '"user_id": "a\\u003ab"',
        '"event_type": "Page View"',
        '"tenant_id": "acme"',
    ],
)
def test_what_needs_a_closer_look_does_not_take_it(rest: str) -> None:
    assert read_plain(f'{{"event_type": "a", {rest}}}'.encode(), LIMITS, is_type=_is_type) is None


@pytest.mark.parametrize(
    "sent",
    [
        {"event_type": "page_view"},
        {"event_type": "a", "event_id": "01900000-0000-7000-8000-000000000001", "user_id": "u:1", "session_id": None},
        {"event_type": "a", "occurred_at": "2026-03-02T10:30:00.5+00:00", "properties": {"n": 1.5, "url": "https://x"}},
    ],
)
def test_plain_events_take_the_short_way(sent: dict[str, object]) -> None:
    assert read_plain(json.dumps(sent).encode(), LIMITS, is_type=_is_type) is not None
