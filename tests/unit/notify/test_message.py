"""Bodies and signatures as the Standard Webhooks specification has them."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from pipeline.notify.message import MOST_BYTES, body, headers

ID = UUID("018f3c1e-7b3a-7c55-9d7e-2f60c1a4be10")
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
MOMENT = datetime(2026, 3, 2, 10, 30, 15, 123456, tzinfo=UTC)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def test_a_body_tells_what_happened_when_and_to_whom() -> None:
    written = body("tenant.held", MOMENT.astimezone(timezone(timedelta(hours=2))), {"tenant": "acme"})
    assert written == (b'{"type":"tenant.held","timestamp":"2026-03-02T10:30:15.123Z","data":{"tenant":"acme"}}')


def test_the_signature_is_that_of_the_vector_of_the_specification() -> None:
    """The vector that the reference implementations of Standard Webhooks test themselves with."""
    signed = Webhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").sign(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", datetime.fromtimestamp(1614265330, UTC), '{"test": 2432232314}'
    )
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_headers_verify_whatever_the_time_zone_of_the_clock() -> None:
    now = datetime.now(timezone(timedelta(hours=-7)))
    sent = body("test", now, {"text": "naïve ☃"})
    assert Webhook(SECRET).verify(sent, headers(ID, now, sent, SECRET))["data"] == {"text": "naïve ☃"}


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_message_from_another_time_does_not_verify(minutes: int) -> None:
    then = datetime.now(UTC) + timedelta(minutes=minutes)
    sent = body("test", then, {})
    with pytest.raises(WebhookVerificationError, match="timestamp"):
        Webhook(SECRET).verify(sent, headers(ID, then, sent, SECRET))


@pytest.mark.parametrize("forged", ["body", "webhook-id", "webhook-timestamp", "secret"])
def test_nothing_that_is_signed_can_be_changed(forged: str) -> None:
    now = datetime.now(UTC)
    sent = body("test", now, {"tenant": "acme"})
    signed = headers(ID, now, sent, SECRET)
    if forged == "body":
        sent = sent.replace(b"acme", b"evil")
    elif forged == "webhook-id":
        signed["webhook-id"] = str(UUID(int=1))
    elif forged == "webhook-timestamp":
        signed["webhook-timestamp"] = str(int(now.timestamp()) + 1)
    secret = "whsec_" + base64.b64encode(b"x" * 32).decode() if forged == "secret" else SECRET
    with pytest.raises(WebhookVerificationError, match="No matching signature"):
        Webhook(secret).verify(sent, signed)


@given(payload=st.dictionaries(st.text(), VALUES))
def test_any_data_that_fits_arrives_as_it_is_in_printable_ascii(payload: dict[str, Any]) -> None:
    written = body("tenant.held", MOMENT, payload)
    assert written.isascii()
    assert all(sign >= 0x20 for sign in written)
    if b'"shortened":true' not in written:
        assert json.loads(written)["data"] == payload


RULE = {"boundary": "raw_to_facts", "rule": "clock", "failing_rows": 3, "detail": "☃" * 3_000}


@pytest.mark.parametrize(
    "payload",
    [
        {"tenant": "acme", "rules": [RULE] * 50},
        {"tenant": "acme", "error": "e" * 100_000},
        {"tenant": "acme", "rules": [[[["☃" * 300] * 20] * 20] * 20]},
        {"tenant": "acme"} | {f"{number}": "x" * 300 for number in range(500)},
    ],
    ids=["rules", "error", "depth", "fields"],
)
def test_data_that_is_too_large_is_shortened_and_says_so(payload: dict[str, Any]) -> None:
    written = body("tenant.held", MOMENT, payload)
    assert len(written) <= MOST_BYTES
    data = json.loads(written)["data"]
    assert (data["tenant"], data["shortened"]) == ("acme", True)


def test_data_of_which_nothing_fits_is_still_told() -> None:
    written = body("tenant.held", MOMENT, {f"{number}" + "☃" * 300: "☃" * 300 for number in range(50)})
    assert json.loads(written)["data"] == {"shortened": True}
