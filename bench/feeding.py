"""Feeding: events and whatever else into a topic, as fast as the broker takes them. It is not measured."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence

from pipeline.core.events import Event
from pipeline.core.settings import Settings
from pipeline.stream.broker import Broker
from pipeline.stream.record import encode_event
from pipeline.stream.routing import route

Record = tuple[int, bytes, bytes]
"""A route, which modulo the number of partitions is the record's, its key and its value."""


def records_of(events: Iterable[Event]) -> list[Record]:
    """As our own publisher makes them."""
    return [(route(event, 1), event.tenant_id.encode(), encode_event(event)) for event in events]


async def feed(settings: Settings, records: Sequence[Record]) -> None:
    """Publish to the topic of the settings, in large batches; all are acknowledged when this returns."""
    broker = await Broker.connect(settings)
    try:
        lanes: dict[int, list[tuple[bytes, bytes]]] = {}
        for number, key, value in records:
            lanes.setdefault(number % broker.partitions, []).append((key, value))
        await asyncio.gather(*(_fill(broker, partition, lane) for partition, lane in lanes.items()))
    finally:
        await broker.close()


async def _fill(broker: Broker, partition: int, records: Sequence[tuple[bytes, bytes]]) -> None:
    now, batch = int(time.time() * 1000), broker.new_batch()
    for key, value in records:
        if batch.append(timestamp=now, key=key, value=value) is None:
            await broker.send(batch, partition)
            batch = broker.new_batch()
            batch.append(timestamp=now, key=key, value=value)
    await broker.send(batch, partition)
