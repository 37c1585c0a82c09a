"""Offsets: up to where the records of each partition have landed, kept beside what was landed.

They move by compare-and-set inside the landing transaction, so a consumer that was taken for dead,
and is not, finds them moved by its successor and stores nothing. What the broker knows of offsets
is a hint for its own tools.
"""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from psycopg.types.json import Jsonb

from pipeline.core.errors import OffsetsMoved, StreamError
from pipeline.stream.delivery import Move

BEGIN = """
insert into control.stream_offsets (topic, partition, next_offset)
select %(topic)s, partition, next_offset
from unnest(%(partitions)s::integer[], %(beginnings)s::bigint[]) as earliest (partition, next_offset)
order by partition
on conflict (topic, partition) do nothing
"""
SKIP_GAPS = """
with behind as (
    select o.topic, o.partition, o.next_offset as first_offset, earliest.next_offset, o.incarnation
    from control.stream_offsets as o
    inner join unnest(%(partitions)s::integer[], %(beginnings)s::bigint[]) as earliest (partition, next_offset)
        using (partition)
    where o.topic = %(topic)s and o.next_offset < earliest.next_offset
    order by o.partition
    for update of o
), moved as (
    update control.stream_offsets as o
    set next_offset = behind.next_offset, moved_at = now()
    from behind
    where o.topic = behind.topic and o.partition = behind.partition
)

insert into control.stream_gaps (topic, partition, first_offset, next_offset, incarnation)
select topic, partition, first_offset, next_offset, incarnation from behind
"""
FIND = """
select partition, next_offset from control.stream_offsets
where topic = %(topic)s and partition = any(%(partitions)s)
"""
MARKS = """
select partition, appended_ms from control.stream_offsets where topic = %s and appended_ms is not null
"""
ADVANCE = """
update control.stream_offsets as o
set next_offset = m.next_offset, moved_at = now(), appended_ms = coalesce(m.appended_ms, o.appended_ms)
from unnest(%(partitions)s::integer[], %(expected)s::bigint[], %(next)s::bigint[], %(marks)s::bigint[])
    as m (partition, expected_offset, next_offset, appended_ms)
where o.topic = %(topic)s and o.partition = m.partition and o.next_offset = m.expected_offset
"""
BEGIN_ANEW = """
update control.stream_offsets set incarnation = incarnation + 1, appended_ms = null
where topic = %(topic)s and partition = any(%(partitions)s)
"""

AUDIT_RESTART = """
insert into control.audit_log (actor, action, details) values (session_user, 'restart topic', %(details)s)
"""


def begin(connection: psycopg.Connection, topic: str, beginnings: Mapping[int, int]) -> dict[int, int]:
    """The next record to land of each partition, of which `beginnings` has the earliest that is still there.

    New partitions begin with it. Records that are gone before they landed are recorded as a gap.
    """
    values = {"topic": topic, "partitions": list(beginnings), "beginnings": list(beginnings.values())}
    connection.execute(BEGIN, values)
    connection.execute(SKIP_GAPS, values)
    return dict(connection.execute(FIND, values).fetchall())


def require_landed(connection: psycopg.Connection, topic: str, moves: Mapping[int, Move]) -> None:
    """Raise StreamError unless all records before `Move.next` have landed."""
    values = {"topic": topic, "partitions": list(moves)}
    found: dict[int, int] = dict(connection.execute(FIND, values).fetchall())
    early = sorted(partition for partition, move in moves.items() if move.next > found.get(partition, 0))
    if early:
        raise StreamError(f"Records of partitions {early} of {topic} have not landed yet, so they cannot land again.")


def restart(connection: psycopg.Connection, topic: str, moves: Mapping[int, Move]) -> None:
    """Move offsets to the beginning of logs that were made anew, and note it. Raises OffsetsMoved."""
    advance(connection, topic, moves, {})
    connection.execute(BEGIN_ANEW, {"topic": topic, "partitions": list(moves)})
    details = {"topic": topic, "partitions": {str(p): [move.expected, move.next] for p, move in moves.items()}}
    connection.execute(AUDIT_RESTART, {"details": Jsonb(details)})


def find_marks(connection: psycopg.Connection, topic: str) -> dict[int, int]:
    """When the broker appended the last landed record of each partition, in milliseconds since 1970."""
    return dict(connection.execute(MARKS, (topic,)).fetchall())


def advance(connection: psycopg.Connection, topic: str, moves: Mapping[int, Move], marks: Mapping[int, int]) -> None:
    """Move the offsets of these partitions. Raises OffsetsMoved unless all are where they are expected."""
    partitions = sorted(moves)
    moved = connection.execute(
        ADVANCE,
        {
            "topic": topic,
            "partitions": partitions,
            "expected": [moves[partition].expected for partition in partitions],
            "next": [moves[partition].next for partition in partitions],
            "marks": [marks.get(partition) for partition in partitions],
        },
    ).rowcount
    if moved != len(partitions):
        raise OffsetsMoved
