"""The outbox keeps what can still be of use to somebody, and no more."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pipeline.notify import outbox as statements
from pipeline.notify.delivery import Deliverer
from tests.integration.notify.outbox import Outbox
from tests.integration.notify.receiver import Receiver
from tests.integration.promote.world import wait_until

SETTLE = "update control.notifications set {} = now() - %s where notification_id::text = %s"
DAY = timedelta(days=1)


def tidy(outbox: Outbox) -> None:
    with outbox.connect() as connection:
        statements.tidy(connection)


def settle(outbox: Outbox, notification_id: str, column: str, ago: timedelta) -> None:
    with outbox.connect() as connection:
        connection.execute(SETTLE.format(column).encode(), (ago, notification_id))


@pytest.mark.parametrize("column", ["delivered_at", "abandoned_at"])
def test_what_was_settled_more_than_thirty_days_ago_is_deleted(outbox: Outbox, column: str) -> None:
    old, recent, pending = outbox.add(age=40 * DAY), outbox.add(age=40 * DAY), outbox.add()
    settle(outbox, old, column, 30 * DAY + timedelta(minutes=1))
    settle(outbox, recent, column, 30 * DAY - timedelta(minutes=1))
    tidy(outbox)
    assert outbox.ids() == {recent, pending}


def test_what_nobody_took_in_three_days_is_abandoned(outbox: Outbox, receiver: Receiver, deliverer: Deliverer) -> None:
    stale, fresh = outbox.add("acme", age=3 * DAY + timedelta(minutes=1)), outbox.add("globex", age=2.9 * DAY)
    tidy(outbox)
    outbox.deliver(deliverer)
    assert receiver.ids() == {fresh: 1}
    assert (outbox.row(stale).state, outbox.row(stale).last_error) == ("abandoned", "not delivered within 3 days")


def test_why_it_was_not_taken_is_kept_beside_its_age(outbox: Outbox, receiver: Receiver, deliverer: Deliverer) -> None:
    sent = outbox.add(age=4 * DAY)
    receiver.script.append(503)
    outbox.deliver(deliverer)
    tidy(outbox)
    assert outbox.row(sent).last_error == "503 Service Unavailable; not delivered within 3 days"


def test_what_is_being_sent_is_left_alone(outbox: Outbox) -> None:
    sent = outbox.add(age=4 * DAY)
    with outbox.connect() as connection:
        assert statements.claim(connection, lease=timedelta(seconds=40))
    tidy(outbox)
    assert outbox.row(sent).state == "pending"
    outbox.let_time_pass()
    tidy(outbox)
    assert outbox.row(sent).state == "abandoned"


def test_a_pass_tidies_a_bounded_number(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "MOST_TIDIED", 2)
    for _ in range(5):
        settle(outbox, outbox.add(), "delivered_at", 31 * DAY)
    tidy(outbox)
    assert len(outbox.ids()) == 3


def test_two_who_tidy_do_not_wait_for_each_other(outbox: Outbox) -> None:
    settle(outbox, outbox.add(), "delivered_at", 31 * DAY)
    with outbox.connect() as first, outbox.connect() as second, first.transaction():
        statements.tidy(first)
        second.execute("set lock_timeout = '1s'")
        statements.tidy(second)
    wait_until(lambda: not outbox.ids())
