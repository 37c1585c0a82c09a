"""Records that cannot be stored, put straight into the topic: each must become one dead letter."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from random import Random
from threading import Event as Signal
from typing import Any
from uuid import UUID

from pipeline.core.events import Event
from pipeline.stream.record import encode_event
from tests.acceptance.chaos.topic import producer
from tests.factories import event

UNDECODABLE, UNKNOWN_TENANT, REFUSED = "undecodable", "unknown_tenant", "refused_by_database"
NOBODY = "nobody-knows"
MALFORMED = "(malformed)"
FLUSH_SECONDS = 60


class Poisoner:
    """Produces poison now and then, around the proxy; knows where each is, with its tenant and reason."""

    def __init__(self, servers: str, topic: str, tenants: Sequence[str], random: Random, *, seconds: float) -> None:
        """`seconds` lie between two records, about."""
        self.placed: dict[tuple[int, int], tuple[str, str, bytes]] = {}
        """By partition and offset: tenant that it is filed under, reason, value."""
        self.kinds: Counter[str] = Counter()
        self._topic = topic
        self._tenants = tenants
        self._random = random
        self._seconds = seconds
        self._producer = producer(servers)
        self._lock = threading.Lock()

    def poison_until(self, enough: Signal) -> None:
        """Produce until it is enough; then wait until the broker has all of it."""
        while not enough.wait(self._random.uniform(0, 2 * self._seconds)):
            self._produce()
            self._producer.poll(0)
        assert self._producer.flush(FLUSH_SECONDS) == 0, "the broker does not take the poison"

    def _produce(self) -> None:
        random = self._random
        tenant = random.choice(self._tenants)
        noise = random.randbytes(random.randrange(8, 80))
        sent = event(tenant_id=tenant, event_id=UUID(bytes=random.randbytes(16), version=4), original=noise)
        kind, key, value, filed, reason = random.choice(
            (
                # 0xc1 is no MessagePack.
                ("no MessagePack", tenant.encode(), b"\xc1" + noise, tenant, UNDECODABLE),
                ("cut off", tenant.encode(), encode_event(sent)[:-3], tenant, UNDECODABLE),
                ("malformed key", b"\xff No Tenant \x00" + noise, b"\xc1" + noise, MALFORMED, UNDECODABLE),
                ("neither key nor value", None, None, MALFORMED, UNDECODABLE),
                ("unknown tenant", NOBODY.encode(), _value(sent, tenant_id=NOBODY), NOBODY, UNKNOWN_TENANT),
                ("impossible tenant", b"\x00", _value(sent, tenant_id="No\0Tenant"), MALFORMED, UNKNOWN_TENANT),
                ("refused", tenant.encode(), _value(sent, properties=rb'{"nul":"\u0000"}'), tenant, REFUSED),
                ("no UTF-8", tenant.encode(), _value(sent, properties=b'{"x":"\xff"}'), tenant, REFUSED),
            )
        )
        # A dead letter holds the event as its sender wrote it, or the record where it is no event.
        original = noise if reason != UNDECODABLE else value or b""

        def note(error: Any, message: Any) -> None:
            assert error is None, error
            with self._lock:
                self.placed[message.partition(), message.offset()] = (filed, reason, original)
                self.kinds[kind] += 1

        self._producer.produce(self._topic, key=key, value=value, on_delivery=note)


def _value(sent: Event, **changed: Any) -> bytes:
    kept = {name: getattr(sent, name) for name in ("tenant_id", "event_id", "original")}
    return encode_event(event(**kept | changed))
