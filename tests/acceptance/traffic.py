"""A client that sends events over HTTP until each is acknowledged, and the book that it keeps.

An answer that did not come, or came as 503, is asked for again with the same ids. Now and then it
sends again what was acknowledged before: all of that must be a duplicate, for ever, and what comes
under a known id with another content a conflict.
"""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from random import Random
from threading import Event as Signal
from uuid import UUID

import httpx

Event = dict[str, str]
Id = tuple[str, str]
"""Tenant and event id."""

EVENTS_PER_REQUEST = 6
SECONDS_BETWEEN_REQUESTS = 0.03
SECONDS_BETWEEN_TRIES = 0.2
PATIENCE_SECONDS = 120
RESENT_SHARE = 0.15
TYPES = ("page_view", "button_click", "api_call")
DAYS = 3


class Book:
    """What a client was told; nothing of it rests on what the stack says later."""

    def __init__(self) -> None:
        self.acknowledged: dict[Id, Event] = {}
        self.requests = 0
        self.tries = 0
        self.answered: Counter[str] = Counter()
        """Events in requests that were answered with outcomes, per tenant."""
        self.unanswered: Counter[str] = Counter()
        """Events in tries that were not: each was taken or not, nobody knows."""


class Client:
    """Sends for several tenants, from one thread."""

    def __init__(self, keys: Mapping[str, str], url: Callable[[], str], random: Random, now: datetime) -> None:
        self.book = Book()
        self._keys = keys
        self._url = url
        self._random = random
        self._now = now
        self._known: defaultdict[str, list[Event]] = defaultdict(list)
        # Never through a proxy of the environment: it is this machine.
        self._http = httpx.Client(timeout=20, trust_env=False)

    def send_until(self, enough: Signal) -> Book:
        """Send batch after batch; none is left without its answer."""
        with self._http:
            while not enough.wait(SECONDS_BETWEEN_REQUESTS):
                if self._known and self._random.random() < RESENT_SHARE:
                    self._send_again()
                else:
                    self._send_new()
        return self.book

    def _send_new(self) -> None:
        tenant = self._random.choice(list(self._keys))
        events = [self._event() for _ in range(EVENTS_PER_REQUEST)]
        outcomes, tries = self._post(tenant, events)
        # A request is stored as a whole or not at all; by an earlier try, if there was one.
        assert len(set(outcomes)) == 1, outcomes
        assert outcomes[0] == "accepted" or (outcomes[0] == "duplicate" and tries > 1), (outcomes[0], tries)
        self.book.acknowledged |= {(tenant, event["event_id"]): event for event in events}
        self._known[tenant] += events

    def _send_again(self) -> None:
        tenant = self._random.choice(list(self._known))
        events = self._random.sample(self._known[tenant], EVENTS_PER_REQUEST)
        forged = events[0] | {"session_id": "forged"}
        outcomes, _ = self._post(tenant, [*events, forged])
        assert outcomes == ["duplicate"] * len(events) + ["conflict"], "acknowledged before, and not there any more"

    def _post(self, tenant: str, events: list[Event]) -> tuple[list[str], int]:
        """The outcomes, in order, and how many tries it took."""
        content = "\n".join(map(json.dumps, events))
        headers = {"Authorization": f"Bearer {self._keys[tenant]}", "Content-Type": "application/x-ndjson"}
        deadline = time.monotonic() + PATIENCE_SECONDS
        self.book.requests += 1
        tries = 0
        while True:
            tries += 1
            self.book.tries += 1
            try:
                response = self._http.post(f"{self._url()}/v1/events", content=content, headers=headers)
            except httpx.TransportError:
                response = None
            if response is not None and response.status_code in (200, 207):
                self.book.answered[tenant] += len(events)
                return [result["outcome"] for result in response.json()["results"]], tries
            assert response is None or response.status_code == 503, f"{response.status_code}: {response.text}"
            self.book.unanswered[tenant] += len(events)
            assert time.monotonic() < deadline, f"no answer within {PATIENCE_SECONDS} s"
            Signal().wait(SECONDS_BETWEEN_TRIES)

    def _event(self) -> Event:
        random = self._random
        return {
            "event_id": str(UUID(int=random.getrandbits(128), version=4)),
            "event_type": random.choice(TYPES),
            "occurred_at": (self._now - timedelta(seconds=random.randrange(DAYS * 86_400))).isoformat(),
            "user_id": f"u{random.randrange(40)}",
            "session_id": f"s{random.randrange(300)}",
        }
