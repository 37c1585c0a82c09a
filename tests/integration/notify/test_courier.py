"""The thread delivers while a process lives, and the process neither waits for it nor suffers from it."""

from __future__ import annotations

import logging
import threading
import time
from datetime import timedelta

import psycopg
import pytest

from pipeline.core.errors import DatabaseUnavailable
from pipeline.notify import courier
from pipeline.notify.courier import delivering
from pipeline.notify.delivery import Deliverer
from tests.integration.notify.outbox import Outbox, deliverer_to
from tests.integration.notify.receiver import SECRET, Receiver
from tests.integration.promote.world import wait_until

SOON = 0.05


def couriers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "notifications"]


def test_what_comes_to_be_due_is_delivered_until_the_block_ends(
    outbox: Outbox, receiver: Receiver, deliverer: Deliverer
) -> None:
    first = outbox.add()
    with delivering(outbox.connect, deliverer, seconds_between_passes=SOON):
        wait_until(lambda: outbox.row(first).state == "delivered")
        second = outbox.add()
        wait_until(lambda: outbox.row(second).state == "delivered")
    assert couriers() == []
    outbox.add()
    assert receiver.ids() == {first: 1, second: 1}


def test_the_end_does_not_wait_for_a_receiver_that_hangs(outbox: Outbox, receiver: Receiver) -> None:
    sent = outbox.add()
    receiver.script.append(receiver.hang)
    with delivering(outbox.connect, deliverer_to(receiver.url, timeout_seconds=60)):
        wait_until(lambda: receiver.received)
        began = time.monotonic()
    assert time.monotonic() - began < 2
    assert couriers() == []
    assert outbox.row(sent).state == "pending"


def test_it_goes_on_once_the_database_is_back(
    outbox: Outbox, deliverer: Deliverer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(courier, "FIRST_RETRY_SECONDS", SOON)
    connections: list[psycopg.Connection] = []

    def connect() -> psycopg.Connection:
        if len(connections) == 1:
            connections.append(connections[0])
            raise DatabaseUnavailable
        connections.append(outbox.connect())
        return connections[-1]

    with delivering(connect, deliverer, seconds_between_passes=SOON):
        first = outbox.add()
        wait_until(lambda: outbox.row(first).state == "delivered")
        with outbox.database.connect_admin() as admin:
            admin.execute("select pg_terminate_backend(%s)", (connections[0].info.backend_pid,))
        second = outbox.add()
        wait_until(lambda: outbox.row(second).state == "delivered")
    assert len(connections) == 3
    assert caplog.text.count("notifications wait for the database") == 2


def test_without_a_webhook_the_outbox_is_kept_tidy_all_the_same(outbox: Outbox) -> None:
    stale = outbox.add(age=timedelta(days=4))
    fresh = outbox.add()
    with delivering(outbox.connect, None):
        wait_until(lambda: outbox.row(stale).state == "abandoned")
    assert couriers() == []
    assert outbox.row(fresh).attempts == 0


def test_logs_and_the_outbox_tell_neither_the_secret_nor_the_path(
    outbox: Outbox, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "pipeline")
    deliverer = deliverer_to(receiver.url)
    receiver.script.extend([500, 410, 204])
    sent = [outbox.add(tenant) for tenant in ("acme", "globex", "initech")]
    outbox.deliver(deliverer)
    gone = deliverer_to("http://127.0.0.1:1/hooks/s3cret-path")
    outbox.let_time_pass()
    outbox.deliver(gone)
    told = caplog.text + repr(deliverer) + str([outbox.row(each).last_error for each in sent])
    assert caplog.text.count("notification ") == 4
    for hidden in (SECRET, SECRET.removeprefix("whsec_"), "s3cret-path", "receiver's own key"):
        assert hidden not in told
