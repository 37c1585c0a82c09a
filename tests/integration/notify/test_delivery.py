"""Each notification reaches a real receiver, signed, and is tried again until it is taken."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.server import BaseHTTPRequestHandler

import pytest

from pipeline.notify import outbox as statements
from pipeline.notify.backoff import DELAYS, MOST_ATTEMPTS
from pipeline.notify.delivery import Deliverer
from tests.integration.notify.outbox import Outbox, deliverer_to
from tests.integration.notify.receiver import Receiver, answer_with, receiving
from tests.integration.promote.world import wait_until

HOSTILE = 'acme"},"x":\r\n\x1b[31m\x9b \u202e<script>alert(1)</script>\u2028 \U0001f4a5 \' ; drop table x; -- \\u0000'


def test_a_receiver_on_this_machine_is_reached_past_a_proxy(
    outbox: Outbox, receiver: Receiver, deliverer: Deliverer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    sent = outbox.add()
    outbox.deliver(deliverer)
    assert receiver.ids() == {sent: 1}


def test_what_is_due_is_delivered_once_signed_with_its_id_and_data(
    outbox: Outbox, receiver: Receiver, deliverer: Deliverer
) -> None:
    sent = outbox.add(payload={"tenant": "acme", "promotion": 12, "verdict": "failed", "raw_rows": 240})
    done = outbox.deliver(deliverer)
    assert (done.delivered, done.postponed, done.abandoned) == (1, 0, 0)
    assert outbox.deliver(deliverer).delivered == 0
    (received,) = receiver.received
    assert receiver.is_signed(received)
    assert (received.id, received.headers["content-type"]) == (sent, "application/json")
    assert received.document["type"] == "tenant.held"
    assert received.document["data"] == {"tenant": "acme", "promotion": 12, "verdict": "failed", "raw_rows": 240}
    row = outbox.row(sent)
    assert (row.state, row.attempts, row.last_error) == ("delivered", 1, None)


def test_text_of_a_tenant_arrives_as_it_is_and_breaks_nothing(
    outbox: Outbox, receiver: Receiver, deliverer: Deliverer
) -> None:
    outbox.add(payload={"rules": [{"detail": HOSTILE}]})
    assert outbox.deliver(deliverer).delivered == 1
    (received,) = receiver.received
    assert received.document["data"] == {"rules": [{"detail": HOSTILE}]}
    assert received.body.isascii()


def test_a_receiver_with_another_secret_finds_the_signature_wrong(outbox: Outbox) -> None:
    sent = outbox.add()
    with receiving("whsec_" + "A" * 32) as stranger:
        outbox.deliver(deliverer_to(stranger.url))
        assert not stranger.is_signed(stranger.received[0])
    row = outbox.row(sent)
    assert (row.state, row.last_error) == ("pending", "401 Unauthorized: signature")


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_a_refusal_is_tried_again_with_the_same_id_and_body_until_it_is_taken(
    outbox: Outbox, receiver: Receiver, deliverer: Deliverer, status: int
) -> None:
    sent = outbox.add()
    receiver.script.extend([status, status])
    for wait in DELAYS[:2]:
        assert outbox.deliver(deliverer).postponed == 1
        row = outbox.row(sent)
        assert row.state == "pending"
        assert row.last_error is not None
        assert row.last_error.startswith(str(status))
        assert wait - timedelta(seconds=2) < row.due_in <= wait
        assert outbox.deliver(deliverer).postponed == 0, "it is not due"
        outbox.let_time_pass()
    assert outbox.deliver(deliverer).delivered == 1
    assert receiver.ids() == {sent: 3}
    assert len({received.body for received in receiver.received}) == 1
    assert outbox.row(sent).attempts == 3


def test_a_receiver_that_is_gone_is_not_told_again(outbox: Outbox, receiver: Receiver, deliverer: Deliverer) -> None:
    sent = outbox.add()
    receiver.script.append(410)
    assert outbox.deliver(deliverer).abandoned == 1
    outbox.let_time_pass()
    outbox.deliver(deliverer)
    assert receiver.ids() == {sent: 1}
    assert (outbox.row(sent).state, outbox.row(sent).last_error) == ("abandoned", "410 Gone")


def test_a_notification_is_abandoned_after_the_last_attempt(
    outbox: Outbox, receiver: Receiver, deliverer: Deliverer
) -> None:
    sent = outbox.add()
    receiver.script.extend([500] * (MOST_ATTEMPTS + 1))
    for _ in range(MOST_ATTEMPTS + 1):
        outbox.deliver(deliverer)
        outbox.let_time_pass()
    row = outbox.row(sent)
    assert (row.state, row.attempts) == ("abandoned", MOST_ATTEMPTS)
    assert row.last_error == "500 Internal Server Error"


def test_a_redirect_is_not_followed(outbox: Outbox, receiver: Receiver, deliverer: Deliverer) -> None:
    sent = outbox.add()
    with receiving() as elsewhere:
        receiver.script.append(lambda handler: answer_with(handler, 307, location=elsewhere.url))
        assert outbox.deliver(deliverer).postponed == 1
        assert elsewhere.received == []
    assert outbox.row(sent).last_error == "307 Temporary Redirect: redirects are not followed"


def test_where_nobody_listens_one_attempt_is_made_and_the_others_keep_theirs(outbox: Outbox) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        first, second = outbox.add("acme"), outbox.add("globex")
        done = outbox.deliver(deliverer_to(f"http://127.0.0.1:{taken.getsockname()[1]}/"))
    assert (done.postponed, outbox.row(first).attempts, outbox.row(second).attempts) == (1, 1, 0)
    assert str(outbox.row(first).last_error).startswith("ConnectError: ")


def drip(handler: BaseHTTPRequestHandler) -> None:
    """An answer that never ends, with something in it all the time."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    wait_until(lambda: handler.wfile.write(b"x-more: y\r\n") == 0)


@pytest.mark.parametrize("how", ["silent", "dripping"])
def test_an_attempt_ends_in_time_whatever_the_receiver_does(outbox: Outbox, receiver: Receiver, how: str) -> None:
    sent = outbox.add()
    receiver.script.append(receiver.hang if how == "silent" else drip)
    assert outbox.deliver(deliverer_to(receiver.url, timeout_seconds=0.3)).postponed == 1
    assert outbox.row(sent).last_error == "no answer within 0.3 s"
    outbox.let_time_pass()
    assert outbox.deliver(deliverer_to(receiver.url)).delivered == 1
    assert receiver.ids() == {sent: 2}


def test_of_an_answer_only_the_beginning_is_read_and_kept_in_one_harmless_line(
    outbox: Outbox, receiver: Receiver, deliverer: Deliverer
) -> None:
    sent = outbox.add()
    receiver.script.append(lambda handler: answer_with(handler, 500, b"\x1b[31m no\0\xff\r\n" + b"x" * 50_000_000))
    assert outbox.deliver(deliverer).postponed == 1
    error = outbox.row(sent).last_error
    assert error is not None
    assert error.startswith("500 Internal Server Error: [31m no � xxx")
    assert error.isprintable()
    assert len(error) < 300


def test_a_pass_that_is_told_to_end_ends_in_the_middle_of_an_attempt(outbox: Outbox, receiver: Receiver) -> None:
    first, second = outbox.add("acme"), outbox.add("globex")
    receiver.script.append(receiver.hang)
    done = outbox.deliver(deliverer_to(receiver.url, timeout_seconds=60), ending=lambda: bool(receiver.received))
    assert (done.postponed, outbox.row(second).attempts) == (1, 0)
    assert outbox.row(first).last_error == "no answer before this process ended"


def test_a_pass_that_is_told_to_end_takes_up_nothing_more(
    outbox: Outbox, receiver: Receiver, deliverer: Deliverer
) -> None:
    outbox.add("acme")
    second = outbox.add("globex")
    outbox.deliver(deliverer, ending=lambda: bool(receiver.received))
    assert outbox.row(second).attempts == 0


def test_a_test_is_sent_once_and_kept_with_its_answer(outbox: Outbox, receiver: Receiver, deliverer: Deliverer) -> None:
    receiver.script.extend([204, 500])
    with outbox.connect() as connection:
        taken, yes = deliverer.test(connection)
        refused, no = deliverer.test(connection)
    assert (yes.is_yes, no.is_yes) == (True, False)
    assert receiver.received[0].document["type"] == "test"
    assert outbox.row(str(taken.notification_id)).state == "delivered"
    assert outbox.row(str(refused.notification_id)).state == "abandoned"


def test_many_deliverers_deliver_each_notification_once(
    outbox: Outbox, receiver: Receiver, deliverer: Deliverer
) -> None:
    sent = {outbox.add(f"t{number % 7}") for number in range(60)}
    with ThreadPoolExecutor(4) as pool:
        passes = [pool.submit(outbox.deliver, deliverer) for _ in range(4)]
        assert sum(done.result().delivered for done in passes) == len(sent)
    assert receiver.ids() == dict.fromkeys(sent, 1)


def test_what_one_deliverer_is_sending_no_other_sends(outbox: Outbox, receiver: Receiver, deliverer: Deliverer) -> None:
    sent = outbox.add()
    receiver.script.append(receiver.hang)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(outbox.deliver, deliverer)
        wait_until(lambda: receiver.received)
        assert outbox.deliver(deliverer).delivered == 0
        receiver.released.set()
        assert first.result().delivered == 1
    assert receiver.ids() == {sent: 1}


def test_news_of_a_tenant_waits_for_older_news_that_is_being_sent_and_for_nobody_else(
    outbox: Outbox, receiver: Receiver, deliverer: Deliverer
) -> None:
    older, newer, other = outbox.add("acme"), outbox.add("acme"), outbox.add("globex")
    receiver.script.append(receiver.hang_and_fail)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(outbox.deliver, deliverer)
        wait_until(lambda: receiver.received)
        assert outbox.deliver(deliverer).delivered == 1
        assert [received.id for received in receiver.received] == [older, other]
        receiver.released.set()
        assert first.result().delivered == 1, "the newer one goes ahead once the older one waits"
    assert [received.id for received in receiver.received] == [older, other, newer]
    assert outbox.row(older).state == "pending"


def test_news_of_a_tenant_does_not_overtake_older_news_that_is_being_claimed(outbox: Outbox) -> None:
    older, _newer = outbox.add("acme"), outbox.add("acme")
    with outbox.connect() as first, outbox.connect() as second, first.transaction():
        claimed = statements.claim(first, lease=timedelta(seconds=40))
        assert claimed is not None
        assert str(claimed.notification_id) == older
        assert statements.claim(second, lease=timedelta(seconds=40)) is None
        other = outbox.add("globex")
        # Older by its own clock, but of another tenant.
        with outbox.connect() as third:
            third.execute(
                "update control.notifications set created_at = now() - interval '1 h' where tenant_id = 'globex'"
            )
        claimed = statements.claim(second, lease=timedelta(seconds=40))
        assert claimed is not None
        assert str(claimed.notification_id) == other


FILL = """
insert into control.notifications (kind, tenant_id, payload)
select 'tenant.held', 't' || number, '{}' from generate_series(1, 10000) as number
"""


def test_a_claim_is_quick_where_every_tenant_is_held_at_once(outbox: Outbox) -> None:
    with outbox.connect() as connection:
        connection.execute(FILL)
        connection.execute("set statement_timeout = '1s'")
        assert statements.claim(connection, lease=timedelta(seconds=40))


@pytest.mark.parametrize("late", ["taken", "refused"])
def test_an_answer_that_comes_after_the_lease_changes_nothing_for_the_worse(
    outbox: Outbox, receiver: Receiver, deliverer: Deliverer, late: str
) -> None:
    sent = outbox.add()
    receiver.script.extend([receiver.hang if late == "taken" else receiver.hang_and_fail, 503])
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(outbox.deliver, deliverer)
        wait_until(lambda: receiver.received)
        outbox.let_time_pass()
        assert outbox.deliver(deliverer).postponed == 1
        receiver.released.set()
        first.result()
    row = outbox.row(sent)
    assert row.attempts == 2
    assert row.state == ("delivered" if late == "taken" else "pending")
    assert row.last_error == (None if late == "taken" else "503 Service Unavailable")
