"""Clients that send all kinds of events, and retry under the same ids until each is acknowledged."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from random import Random
from threading import Event as Signal
from typing import Any
from uuid import UUID

import httpx

from tests.acceptance.chaos.model import Book, Content, text_of

SECONDS_BETWEEN_TRIES = 0.2
PATIENCE_SECONDS = 150
ANSWER_SECONDS = 20
DURABLE = ("accepted", "spooled", "duplicate")
TYPES = ("page_view", "button_click", "report.opened", "api_call")
LATE_DAYS = 400
LARGEST_BATCH = 500
RECENT, EVER = 200, 10**9


class Kind(StrEnum):
    """Of an event to send."""

    NEW = "new"
    LATE = "late"
    WITHOUT_ID = "without id"
    RESENT = "resent"
    CONFLICTING = "conflicting"
    INVALID = "invalid"


WEIGHTS = {
    Kind.NEW: 70,
    Kind.LATE: 10,
    Kind.WITHOUT_ID: 5,
    Kind.RESENT: 10,
    Kind.CONFLICTING: 3,
    Kind.INVALID: 2,
}
SIZES = ((1, 1, 40), (2, 60, 45), (200, LARGEST_BATCH, 15))
"""Fewest and most events of a request, and how often such requests are."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """An event to be sent."""

    kind: Kind
    event_id: str | None
    content: Content

    @property
    def is_valid(self) -> bool:
        """Whether the API must take it."""
        return self.kind is not Kind.INVALID


class Client:
    """Sends for several tenants to several processes of the API, from one thread."""

    def __init__(
        self,
        book: Book,
        *,
        keys: Mapping[str, str],
        weights: Sequence[int],
        kinds: Mapping[Kind, int],
        urls: Sequence[str],
        random: Random,
        now: datetime,
        pause_seconds: float,
    ) -> None:
        """`weights` has how often each tenant of `keys` is chosen, and `kinds` the same of kinds."""
        self._book = book
        self._keys = keys
        self._weights = weights
        self._kinds = kinds
        self._urls = urls
        self._random = random
        self._now = now
        self._pause_seconds = pause_seconds
        # Never through a proxy of the environment: it is this machine.
        self._http = httpx.Client(timeout=ANSWER_SECONDS, trust_env=False)

    def send_until(self, enough: Signal) -> None:
        """Send request after request; none is left without its answer."""
        with self._http:
            while not enough.wait(self._random.uniform(0, 2 * self._pause_seconds)):
                [tenant] = self._random.choices(list(self._keys), self._weights)
                self._send(tenant, self._drafts(tenant))

    def _drafts(self, tenant: str) -> list[Draft]:
        [(fewest, most, _)] = self._random.choices(SIZES, [size[2] for size in SIZES])
        kinds = self._random.choices(
            list(self._kinds), list(self._kinds.values()), k=self._random.randint(fewest, most)
        )
        return [self._draft(kind, tenant) for kind in kinds]

    def _draft(self, kind: Kind, tenant: str) -> Draft:
        random = self._random
        if kind in (Kind.RESENT, Kind.CONFLICTING):
            # The latest ones have hardly landed, the others have long since.
            latest = RECENT if random.random() < 0.5 else EVER
            if (known := self._book.any_known(tenant, random, latest=latest)) is None:
                kind = Kind.NEW
            elif kind is Kind.RESENT:
                return Draft(kind=kind, event_id=known[0], content=known[1])
            else:
                return Draft(kind=kind, event_id=known[0], content=self._content(kind))
        event_id = None if kind is Kind.WITHOUT_ID else str(UUID(int=random.getrandbits(128), version=4))
        return Draft(kind=kind, event_id=event_id, content=self._content(kind))

    def _content(self, kind: Kind) -> Content:
        random = self._random
        age = timedelta(seconds=random.randrange(86_400), days=LATE_DAYS if kind is Kind.LATE else 0)
        # The mark makes every content another one.
        properties = {"mark": random.getrandbits(64).to_bytes(8).hex(), "plan": random.choice("abc"), "é": [1, None]}
        return Content(
            event_type="Not Valid!" if kind is Kind.INVALID else random.choice(TYPES),
            occurred_at=(self._now - age).isoformat(),
            user_id=f"u{random.randrange(500)}",
            session_id=f"s{random.randrange(5_000)}",
            properties=text_of(properties),
        )

    def _send(self, tenant: str, drafts: list[Draft]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        tries = 0
        while True:
            tries += 1
            response = self._post(tenant, drafts)
            if response is not None and response.status_code in (200, 207, 422):
                break
            if response is None:
                for draft in drafts:
                    if draft.is_valid and draft.event_id is None:
                        self._book.doubt(tenant, draft.content)
            else:
                assert response.status_code == 503, f"{response.status_code}: {response.text}"
                drafts = _with_given_ids(drafts, response.json())
            assert time.monotonic() < deadline, f"no answer within {PATIENCE_SECONDS} s"
            Signal().wait(SECONDS_BETWEEN_TRIES)
        self._note(tenant, drafts, response.json()["results"], tries)

    def _post(self, tenant: str, drafts: list[Draft]) -> httpx.Response | None:
        """The answer, if there is one."""
        url = self._random.choice(self._urls)
        content = "\n".join(json.dumps(draft.content.as_sent(draft.event_id)) for draft in drafts)
        headers = {"Authorization": f"Bearer {self._keys[tenant]}", "Content-Type": "application/x-ndjson"}
        try:
            return self._http.post(f"{url}/v1/events", content=content, headers=headers)
        except httpx.TransportError:
            return None

    def _note(self, tenant: str, drafts: list[Draft], results: list[dict[str, Any]], tries: int) -> None:
        outcomes: Counter[str] = Counter()
        for draft, result in zip(drafts, results, strict=True):
            outcome = result["outcome"]
            outcomes[outcome] += 1
            if not draft.is_valid:
                assert outcome == "invalid", result
                continue
            assert outcome in DURABLE, (draft, result)
            assert draft.event_id in (None, result["event_id"])
            self._book.acknowledge(tenant, result["event_id"], draft.content)
        self._book.note_request(Counter(draft.kind for draft in drafts), tries, outcomes)


def _with_given_ids(drafts: list[Draft], refusal: Mapping[str, Any]) -> list[Draft]:
    """The events as they are to be retried: those that came without an id, with the one they were given."""
    given = {each["index"]: each["event_id"] for each in refusal.get("details", {}).get("retry_with", ())}
    return [replace(draft, event_id=given[index]) if index in given else draft for index, draft in enumerate(drafts)]
