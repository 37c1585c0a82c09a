"""The topic as it is in the broker, read with another client library than the system's own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from confluent_kafka import Consumer, Producer, TopicPartition

PATIENCE_SECONDS = 60
CHUNK = 10_000


class Record(NamedTuple):
    """A record of the topic."""

    partition: int
    offset: int
    key: bytes
    value: bytes
    appended_at: datetime


def end_offsets(servers: str, topic: str) -> dict[int, int]:
    """By partition, where the next record will be."""
    with _reader(servers) as reader:
        return {p: reader.get_watermark_offsets(TopicPartition(topic, p))[1] for p in _partitions(reader, topic)}


def begin_offsets(servers: str, topic: str) -> dict[int, int]:
    """By partition, the first record that is there."""
    with _reader(servers) as reader:
        return {p: reader.get_watermark_offsets(TopicPartition(topic, p))[0] for p in _partitions(reader, topic)}


def read(servers: str, topic: str) -> Iterator[Record]:
    """All records, from the beginning to what is the end now."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    ends = end_offsets(servers, topic)
    with _reader(servers) as reader:
        reader.assign([TopicPartition(topic, partition, 0) for partition in ends])
        left = sum(ends.values())
        while left:
            assert time.monotonic() < deadline, f"{left} records of {topic} cannot be read"
            for message in reader.consume(CHUNK, timeout=1):
                assert message.error() is None, message.error()
                _, milliseconds = message.timestamp()
                left -= 1
                yield Record(
                    message.partition(),
                    message.offset(),
                    message.key() or b"",
                    message.value() or b"",
                    datetime.fromtimestamp(milliseconds / 1000, UTC),
                )


def producer(servers: str) -> Producer:
    """A producer that goes on where the broker comes back."""
    return Producer(
        {"bootstrap.servers": servers, "enable.idempotence": True, "reconnect.backoff.max.ms": 500, "log_level": 0}
    )


def _reader(servers: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "chaos-readers",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "log_level": 0,
        }
    )


def _partitions(reader: Consumer, topic: str) -> list[int]:
    return sorted(reader.list_topics(topic, timeout=PATIENCE_SECONDS).topics[topic].partitions)
