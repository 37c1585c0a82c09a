"""What the event contract refuses: everything that would fail, or mean something else, further on."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.core.events import Event, InvalidEventError, decode_event
from pipeline.core.settings import IngestLimits

RECEIVED = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)
LIMITS = IngestLimits(event_bytes=30_000, depth=4, keys=5, string_length=20)
SECRET = "s3cr3t"


def decode(raw: bytes, allowed_types: frozenset[str] | None = None) -> Event:
    return decode_event(
        raw,
        tenant_id="acme",
        received_at=RECEIVED,
        limits=LIMITS,
        allowed_types=allowed_types,
        new_id=lambda: UUID(int=1),
    )


def reason(raw: bytes, allowed_types: frozenset[str] | None = None) -> str:
    with pytest.raises(InvalidEventError) as refused:
        decode(raw, allowed_types)
    return refused.value.reason


def with_property(value: bytes) -> bytes:
    return b'{"event_type":"a","properties":{"k":' + value + b"}}"


def with_field(field: bytes) -> bytes:
    return b'{"event_type":"a",' + field + b"}"


POISON = {
    "empty": (b"", "not valid JSON"),
    "no object": (b"[1]", "an event is a JSON object"),
    "a bare string": (b'"a"', "an event is a JSON object"),
    "cut off": (b'{"event_type":"a"', "not valid JSON"),
    "two values": (b'{"event_type":"a"} {}', "not valid JSON: trailing characters"),
    "a comment": (b'{"event_type":"a"/**/}', "not valid JSON"),
    "a byte order mark": (b'\xef\xbb\xbf{"event_type":"a"}', "byte order mark"),
    "UTF-16": ('{"event_type":"a"}'.encode("utf-16"), "not valid JSON"),
    "too many bytes": (with_property(b'"' + b"a" * 30_000 + b'"'), "longer than 30000 bytes"),
    "NaN": (with_property(b"NaN"), "NaN or Infinity"),
    "-Infinity": (with_property(b"[-Infinity]"), "NaN or Infinity"),
    "a float that overflows": (with_property(b"1e999"), "beyond the range of a 64-bit float"),
    "an exponent that overflows": (with_property(b"1e99999999999999999999"), "beyond the range"),
    "a float that underflows": (with_property(b"1e-999"), "too close to zero"),
    "a number of 101 characters": (with_property(b"0." + b"1" * 99), "longer than 100 characters"),
    "2**63": (with_property(b"9223372036854775808"), "integer beyond 64 bits"),
    "2**64": (with_property(b"18446744073709551616"), "integer beyond 64 bits"),
    "-2**63 - 1": (with_property(b"[-9223372036854775809]"), "integer beyond 64 bits"),
    "an int of 4,301 digits": (with_property(b"1" * 4301), "integer beyond 64 bits"),
    "a leading zero": (with_property(b"01"), "not valid JSON"),
    "an escaped NUL": (with_property(rb'"\u0000"'), "NUL"),
    "a NUL in a key": (with_field(rb'"properties":{"\u0000":1}'), "NUL"),
    "a raw NUL": (with_property(b'"\0"'), "not valid JSON"),
    "a high surrogate alone": (with_property(rb'"\ud800"'), "surrogate"),
    "a low surrogate alone": (with_property(rb'"\udc00x"'), "surrogate"),
    "two high surrogates": (with_property(rb'"\ud800\ud800"'), "surrogate"),
    "a surrogate in a key": (with_field(rb'"properties":{"\udfff":1}'), "surrogate"),
    "raw surrogate bytes": (with_property(b'"\xed\xa0\x80"'), "not valid UTF-8"),
    "overlong UTF-8": (with_property(b'"\xc0\x80"'), "not valid UTF-8"),
    "latin-1": (with_property(b'"\xff"'), "not valid UTF-8"),
    "a deep nest": (with_property(b"[" * 4 + b"]" * 4), "properties is nested deeper than 4 levels"),
    "a nest beyond the parser": (with_property(b"[" * 9000 + b"]" * 9000), "nested too deeply"),
    "many keys": (with_property(b'{"a":[{"b":1,"c":2}],"d":3,"e":4}'), "properties holds more than 5 keys"),
    "a long string": (with_property(b'["' + b"a" * 21 + b'"]'), "string longer than 20 characters"),
    "a long key": (with_field(b'"properties":{"' + b"a" * 21 + b'":1}'), "string longer than 20"),
    "a repeated key": (with_field(b'"properties":{"a":1,"b":[{"c":1,"c":1}]}'), "a key occurs twice"),
    "a repeated key, escaped": (with_field(rb'"properties":{"a":1,"\u0061":"\u003A"}'), "a key occurs twice"),
    "a repeated field": (b'{"event_type":"a","event_type":"b"}', "a key occurs twice"),
    "a tenant_id": (with_field(b'"tenant_id":"x"'), "the tenant comes from the API key"),
    "an unknown field": (with_field(b'"userid":"x"'), "a field other than event_id, event_type"),
    "no event_type": (b'{"user_id":"u"}', "event_type is missing"),
    "an upper-case event_type": (b'{"event_type":"PageView"}', "event_type must be lower-case"),
    "an event_type with a line feed": (rb'{"event_type":"a\n"}', "event_type must be lower-case"),
    "an event_type of 129 characters": (b'{"event_type":"' + b"a" * 129 + b'"}', "128 characters"),
    "an event_type that is a number": (b'{"event_type":1}', "event_type must be"),
    "an event_id without hyphens": (with_field(b'"event_id":"617b5316b937582998b4de043ca24301"'), "event_id must be"),
    "an event_id in braces": (with_field(b'"event_id":"{17b5316-b937-5829-98b4-de043ca2430}"'), "event_id must be"),
    "an event_id that is a number": (with_field(b'"event_id":1'), "event_id must be"),
    "an empty user_id": (with_field(b'"user_id":""'), "user_id must be a string of 1 to 256"),
    "a user_id that is a number": (with_field(b'"user_id":1'), "user_id must be"),
    "a long session_id": (with_field(b'"session_id":"' + b"a" * 257 + b'"'), "session_id must be"),
    "a session_id with NUL": (with_field(rb'"session_id":"\u0000"'), "session_id must be"),
    "properties that are a list": (with_field(b'"properties":[]'), "properties must be a JSON object"),
    **{
        f"occurred_at {text}": (with_field(b'"occurred_at":' + text.encode()), "occurred_at must be an RFC 3339")
        for text in (
            '"2026-03-02T10:30:00"',
            '"2026-03-02"',
            '"20260302T103000Z"',
            '"2026-02-30T10:30:00Z"',
            '"2026-03-02T10:30:60Z"',
            '"2026-03-02T24:00:00Z"',
            '"2026-03-02T10:30:00+24:00"',
            '"9999-12-31T23:59:59.9999999Z"',
            '"infinity"',
            '"1772447400"',
            "1772447400",
        )
    },
    **{
        f"occurred_at {text}": (with_field(f'"occurred_at":"{text}"'.encode()), "from 1970 to before 2100")
        for text in (
            "1969-12-31T23:59:59.999999Z",
            "1970-01-01T00:30:00+01:00",
            "2100-01-01T00:00:00Z",
            "2099-12-31T23:59:59.9999999Z",
            "0001-01-01T00:00:00+23:59",
            "9999-12-31T23:59:59-23:59",
        )
    },
}


@pytest.mark.parametrize(("raw", "why"), POISON.values(), ids=POISON)
def test_poison_is_refused_with_a_reason_that_names_it(raw: bytes, why: str) -> None:
    assert why in reason(raw)


def test_an_event_at_its_limits_is_accepted() -> None:
    longest = b'"' + b"a" * LIMITS.string_length + b'"'
    decode(with_property(b'{"a":[{"b":' + longest + b',"c":2}],"d":3}'))
    padding = b" " * (LIMITS.event_bytes - len(with_property(b"1")))
    decode(with_property(b"1" + padding))
    decode(with_field(b'"occurred_at":"1970-01-01T00:00:00Z","user_id":"' + b"a" * 256 + b'"'))
    decode(with_field(b'"occurred_at":"2099-12-31T23:59:59.999999Z","properties":null'))


def test_a_type_that_the_tenant_does_not_allow_is_refused() -> None:
    assert decode(b'{"event_type":"a"}', frozenset({"a"})).event_type == "a"
    assert "tenant allows" in reason(b'{"event_type":"a"}', frozenset({"b"}))


def test_a_refused_event_is_known_by_its_id_if_that_is_well_formed() -> None:
    with pytest.raises(InvalidEventError) as refused:
        decode(b'{"event_id":"617b5316-b937-5829-98b4-de043ca24301","event_type":"a","user_id":""}')
    assert refused.value.event_id == UUID("617b5316-b937-5829-98b4-de043ca24301")


FRAGMENTS = st.sampled_from(
    [
        f'"{SECRET}"',
        f'"{SECRET}\\u0000"',
        f'"{SECRET}\\ud800"',
        f'"{SECRET * 9}"',
        f'["{SECRET}"]',
        f'{{"{SECRET}":1}}',
        f'{{"{SECRET}":1,"{SECRET}":2}}',
        f"{SECRET}",
        *("NaN", "1e999", "null", "0", str(2**70), "[" * 2000, "{}", '"\\'),
    ]
)
NAMES = st.sampled_from(
    ["event_id", "event_type", "occurred_at", "user_id", "session_id", "properties", "tenant_id", SECRET]
)


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, FRAGMENTS), max_size=4))
def test_a_reason_never_repeats_what_was_sent(fields: list[tuple[str, str]]) -> None:
    raw = "{" + ",".join(f'"{name}":{value}' for name, value in fields) + "}"
    assert SECRET not in (why_refused(raw.encode()) or "")


@settings(deadline=None)
@given(st.binary(max_size=64) | st.text(alphabet='{}[]":,\\ud80eE+-.019NaItrun \n', max_size=64).map(str.encode))
@example(b'{"event_type":"a","properties":' + b'{"a":' * 3000)
def test_no_bytes_raise_anything_but_an_invalid_event(raw: bytes) -> None:
    for text in (raw, with_property(raw), with_field(raw), with_field(b'"occurred_at":"' + raw + b'"')):
        assert why_refused(text) != ""


def why_refused(raw: bytes) -> str | None:
    """The reason, None for an accepted event; any other exception goes on."""
    try:
        decode(raw)
    except InvalidEventError as refused:
        return refused.reason
    return None
