"""Landing into the table of the published Kafka-to-PostgreSQL benchmarks: four plain columns, no key, no dedup.

Redpanda Connect's benchmark (redpanda-data/connect, docs/benchmark-results/postgres.md) gives 181,818
messages a second for Kafka Connect's JDBC sink and 130,952 for its own, 10 million rows on a laptop
of six fast cores. This landing makes our consumer comparable with them: the same reading, decoding and
gathering as ever, behind the same port. It promises nothing that the product promises.
"""

from __future__ import annotations

from collections.abc import Mapping

import psycopg

from pipeline.core.database import Database
from pipeline.stream.delivery import Delivery, Move, Settled

CREATE = "create table unkeyed (tenant_id text, event_type text, occurred_at timestamptz, user_id text)"
COPY = "copy unkeyed from stdin (format binary)"
WIRE_TYPES = ("text", "text", "timestamptz", "text")


class UnkeyedLanding:
    """A `Landing` whose offsets live in this process."""

    def __init__(self, database: Database) -> None:
        self._connection: psycopg.Connection = database.connect_admin()
        self._connection.execute(CREATE)
        self._connection.commit()
        self._offsets: dict[int, int] = {}

    def find_offsets(self, topic: str, beginnings: Mapping[int, int]) -> dict[int, int]:  # noqa: ARG002
        """See `Landing.find_offsets`."""
        return {partition: self._offsets.get(partition, first) for partition, first in beginnings.items()}

    def find_marks(self, topic: str) -> dict[int, int]:  # noqa: ARG002
        """See `Landing.find_marks`."""
        return {}

    def restart(self, topic: str, moves: Mapping[int, Move]) -> None:  # noqa: ARG002
        """See `Landing.restart`."""
        self._offsets |= {partition: move.next for partition, move in moves.items()}

    def land(self, delivery: Delivery) -> Settled:
        """See `Landing.land`."""
        with self._connection.cursor().copy(COPY) as copy:
            copy.set_types(WIRE_TYPES)
            for event in delivery.events:
                copy.write_row((event.tenant_id, event.event_type, event.occurred_at, event.user_id))
        self._connection.commit()
        self._offsets |= {partition: move.next for partition, move in delivery.moves.items()}
        return Settled(stored=len(delivery.events))

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()
