"""The model: what was sent and acknowledged, as the clients know it; nothing rests on what the system says later."""

from __future__ import annotations

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Mapping
from random import Random
from typing import Any, NamedTuple

Id = tuple[str, str]
"""Tenant and event id."""


class Content(NamedTuple):
    """What an event says beside its id; properties as JSON text in one order."""

    event_type: str
    occurred_at: str
    user_id: str
    session_id: str
    properties: str

    def as_sent(self, event_id: str | None) -> dict[str, Any]:
        """The event as it goes over the wire."""
        fields = {**self._asdict(), "properties": json.loads(self.properties)}
        return fields if event_id is None else {"event_id": event_id, **fields}


def text_of(properties: Mapping[str, Any]) -> str:
    """Properties as `Content` has them."""
    return json.dumps(properties, sort_keys=True)


class Book:
    """What all clients together were told; they may use it at the same time."""

    def __init__(self) -> None:
        self.acknowledged: defaultdict[Id, set[Content]] = defaultdict(set)
        self.in_doubt: Counter[tuple[str, Content]] = Counter()
        """Events without an id of ours, by tenant: tries that were not answered. Each was taken, or not."""
        self.sent: Counter[str] = Counter()
        """Events by kind."""
        self.outcomes: Counter[str] = Counter()
        self.requests = 0
        self.tries = 0
        self._known: defaultdict[str, list[tuple[str, Content]]] = defaultdict(list)
        self._lock = threading.Lock()

    @property
    def events(self) -> int:
        """Events that were answered, of whatever kind."""
        return self.outcomes.total()

    def note_request(self, kinds: Counter[str], tries: int, outcomes: Counter[str]) -> None:
        """Count a request that was answered."""
        with self._lock:
            self.sent += kinds
            self.outcomes += outcomes
            self.requests += 1
            self.tries += tries

    def acknowledge(self, tenant: str, event_id: str, content: Content) -> None:
        """The event is durable, they said."""
        with self._lock:
            contents = self.acknowledged[tenant, event_id]
            if not contents:
                self._known[tenant].append((event_id, content))
            contents.add(content)

    def doubt(self, tenant: str, content: Content) -> None:
        """It was sent without an id, and nobody answered."""
        with self._lock:
            self.in_doubt[tenant, content] += 1

    def any_known(self, tenant: str, random: Random, *, latest: int) -> tuple[str, Content] | None:
        """An event that was acknowledged before, among the latest ones."""
        with self._lock:
            known = self._known[tenant]
            return known[-1 - random.randrange(min(latest, len(known)))] if known else None
