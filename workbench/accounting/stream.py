"""What the database knows of the stream: up to where it has landed, and what was lost before that."""

from __future__ import annotations

from datetime import datetime

import msgspec
import psycopg
from psycopg.rows import class_row

LANDED = "select partition, next_offset from control.stream_offsets where topic = %(topic)s order by partition"
GAPS = """
select topic, partition, first_offset, next_offset, found_at from control.stream_gaps
where topic = %(topic)s
order by found_at, partition
"""


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Records that the broker had removed before they landed."""

    topic: str
    partition: int
    first_offset: int
    next_offset: int
    found_at: datetime

    @property
    def records(self) -> int:
        """How many, at most."""
        return self.next_offset - self.first_offset


def read_landed(connection: psycopg.Connection, topic: str) -> dict[int, int]:
    """By partition, the next record to land."""
    return dict(connection.execute(LANDED, {"topic": topic}).fetchall())


def read_gaps(connection: psycopg.Connection, topic: str) -> list[Gap]:
    """The gaps of a topic, the oldest first."""
    return connection.cursor(row_factory=class_row(Gap)).execute(GAPS, {"topic": topic}).fetchall()
