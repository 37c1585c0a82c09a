"""Which partition an event goes to: that of its tenant, as any Kafka client would choose it by the key.

A tenant that is too much for one partition is spread over as many as it has shards; an event's shard
follows from its id, so that a resend meets the first sending. Where shards or partitions change,
events of one id may lie in two partitions, and landing still stores one.
"""

from __future__ import annotations

from functools import lru_cache

from aiokafka.partitioner import murmur2

from pipeline.core.events import Event

POSITIVE = 0x7FFFFFFF
TENANTS_REMEMBERED = 10_000


def route(event: Event, shards: int) -> int:
    """A number from 0, which modulo the number of partitions is the event's."""
    base = _route_of_tenant(event.tenant_id)
    return base if shards == 1 else base + event.event_id.int % shards


@lru_cache(TENANTS_REMEMBERED)
def _route_of_tenant(tenant_id: str) -> int:
    return int(murmur2(tenant_id.encode())) & POSITIVE
