"""What docs/notifications.md tells is so: its receiver runs, its table is the code's."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.core.clock import utc_now
from pipeline.notify import message
from pipeline.notify.backoff import DELAYS, MOST_ATTEMPTS
from tests.integration.notify.outbox import Outbox, deliverer_to
from tests.integration.notify.receiver import SECRET

DOCUMENT = (Path(__file__).parents[3] / "docs" / "notifications.md").read_text()
OTHER = "whsec_" + base64.b64encode(b"o" * 32).decode()


@pytest.fixture
def documented(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The document's receiver, running; its address."""
    monkeypatch.setenv("WORKBENCH_WEBHOOK_SECRET", SECRET)
    (snippet,) = re.findall(r"^```python\n(.*?)^```", DOCUMENT, re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {"__name__": "snippet"}
    exec(snippet, names)
    with HTTPServer(("127.0.0.1", 0), names["Receiver"]) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_the_documented_receiver_takes_what_we_send_and_takes_repetitions_once(
    documented: str, outbox: Outbox, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = outbox.add(payload={"tenant": "acme", "promotion": 12})
    assert outbox.deliver(deliverer_to(documented)).delivered == 1
    with outbox.connect() as connection:
        connection.execute("update control.notifications set delivered_at = null, next_attempt_at = now()")
    assert outbox.deliver(deliverer_to(documented)).delivered == 1
    assert outbox.row(sent).attempts == 2
    assert capsys.readouterr().out == "tenant.held {'tenant': 'acme', 'promotion': 12}\n"


@pytest.mark.parametrize("wrong", ["secret", "old", "body", "signature", "none"])
def test_the_documented_receiver_refuses_what_is_not_ours_or_not_fresh(
    documented: str, outbox: Outbox, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with outbox.connect() as connection:
        notification, _ = deliverer_to(documented, secret=OTHER if wrong == "secret" else SECRET).test(connection)
    capsys.readouterr()
    sent_at = utc_now() - (timedelta(minutes=6) if wrong == "old" else timedelta())
    body = message.body("test", sent_at, {})
    headers = message.headers(notification.notification_id, sent_at, body, OTHER if wrong == "secret" else SECRET)
    body += b" " if wrong == "body" else b""
    if wrong == "signature":
        headers["webhook-signature"] = "no signature at all"
    given = {} if wrong == "none" else headers
    assert httpx.post(documented, content=body, headers=given, trust_env=False).status_code == 401
    assert capsys.readouterr().out == ""


def test_the_table_of_waits_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| (\d+) \| (\d+) (second|minute|hour)s? \|$", DOCUMENT, re.MULTILINE)
    told = [(int(attempt), timedelta(**{f"{unit}s": int(number)})) for attempt, number, unit in rows]
    assert told == list(enumerate(DELAYS, start=1))
    assert f"| {MOST_ATTEMPTS} | none" in DOCUMENT


def test_the_documented_bodies_are_bodies_of_ours() -> None:
    examples = [
        json.loads(example) for example in re.findall(r"^```json\n(.*?)^```", DOCUMENT, re.DOTALL | re.MULTILINE)
    ]
    assert [example["type"] for example in examples] == ["tenant.held", "promotion.failed"]
    assert all(list(example) == ["type", "timestamp", "data"] for example in examples)
