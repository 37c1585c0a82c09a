"""Delivering what is due: claim, send, enter what became of it; one notification after the other.

At least once: whoever dies between sending and entering is followed by another attempt with the same id.
No transaction is open while a receiver is waited for.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import psycopg

from pipeline.core.clock import Clock, utc_now
from pipeline.notify import message, outbox
from pipeline.notify.backoff import delay
from pipeline.notify.endpoint import Answer, Endpoint, Sender
from pipeline.notify.outbox import Notification

LEASE_MARGIN = timedelta(seconds=30)
"""How much longer a claim lasts than an attempt may take."""
TEST = {"text": "A test of the workbench's notifications: nothing has happened."}

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Delivered:
    """What became of the notifications of one pass; `errors` tells why some were not taken."""

    delivered: int = 0
    postponed: int = 0
    abandoned: int = 0
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Deliverer:
    """Delivers to an endpoint. Any number of them may work at the same time, in any processes."""

    endpoint: Endpoint
    clock: Clock = utc_now
    chance: Callable[[], float] = random.random

    def deliver(self, connection: psycopg.Connection, *, ending: Callable[[], bool] = lambda: False) -> Delivered:
        """Deliver what is due, until nothing is, nobody answers, or `ending` is true.

        `connection`: as the publisher, in autocommit. Raises psycopg.Error.
        """
        done = Delivered()
        claimed = self._claim(connection)
        if claimed is None:
            return done
        with Sender(self.endpoint) as sender:
            while claimed is not None:
                answer = self._send(sender, claimed, ending)
                self._enter(connection, claimed, answer, done)
                # Where nobody answers, the others would use up their attempts in vain.
                claimed = None if answer.status is None or ending() else self._claim(connection)
        return done

    def test(self, connection: psycopg.Connection) -> tuple[Notification, Answer]:
        """Send a test message, once; it is in the outbox with its answer. Raises psycopg.Error."""
        notification = outbox.add_claimed(connection, "test", TEST, lease=self._lease())
        with Sender(self.endpoint) as sender:
            answer = self._send(sender, notification, lambda: False)
        if answer.is_yes:
            outbox.mark_delivered(connection, notification)
        else:
            outbox.mark_failed(connection, notification, answer.told, wait=None)
        return notification, answer

    def _lease(self) -> timedelta:
        return timedelta(seconds=self.endpoint.timeout_seconds) + LEASE_MARGIN

    def _claim(self, connection: psycopg.Connection) -> Notification | None:
        return outbox.claim(connection, lease=self._lease())

    def _send(self, sender: Sender, notification: Notification, ending: Callable[[], bool]) -> Answer:
        sent = message.body(notification.kind, notification.created_at, notification.payload)
        headers = message.headers(notification.notification_id, self.clock(), sent, self.endpoint.secret)
        return sender.send(sent, headers, ending=ending)

    def _enter(
        self, connection: psycopg.Connection, notification: Notification, answer: Answer, done: Delivered
    ) -> None:
        name = f"notification {notification.notification_id} ({notification.kind})"
        about = _about(notification)
        if answer.is_yes:
            outbox.mark_delivered(connection, notification)
            done.delivered += 1
            log.info("%s delivered to %s", name, self.endpoint.host, extra=about)
            return
        wait = None if answer.is_never_again else delay(notification.attempts, self.chance())
        outbox.mark_failed(connection, notification, answer.told, wait=wait)
        done.errors.append(answer.told)
        if wait is None:
            done.abandoned += 1
            log.error("%s abandoned after attempt %d: %s", name, notification.attempts, answer.told, extra=about)
        else:
            done.postponed += 1
            seconds = wait.total_seconds()
            log.warning("%s not delivered, again in %g s: %s", name, seconds, answer.told, extra=about)


def _about(notification: Notification) -> dict[str, object]:
    """What log lines about it are about."""
    told = {"tenant_id": notification.payload.get("tenant"), "promotion_id": notification.payload.get("promotion")}
    return {field: value for field, value in told.items() if value is not None}
