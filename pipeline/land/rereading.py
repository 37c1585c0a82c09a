"""Rereading: landing records again that have landed before, which must change nothing but mend what was lost.

Every record is an arrival that was counted when it landed, so none is counted now, whether its row
is there or had been lost. Only one that was a dead letter and can be stored now is moved in the
ledger, and leaves its letter for good.
"""

from __future__ import annotations

from collections import Counter

import psycopg

from pipeline.core.clock import hour_of
from pipeline.land import dead_letters, ledger, offsets
from pipeline.land.batch import LeftOut, store_events
from pipeline.land.dead_letters import filed_under, letter_of_record
from pipeline.land.habits import Habits
from pipeline.land.ledger import Cell
from pipeline.stream.delivery import Delivery, Settled

RESOLVE = """
update raw.dead_letters as d
set replays = d.replays + 1, resolved_at = now(), resolution = r.resolution
from unnest(
    %(tenants)s::text[], %(partitions)s::integer[], %(offsets)s::bigint[], %(resolutions)s::text[]
) as r (tenant_id, partition, record_offset, resolution)
where
    d.tenant_id = r.tenant_id
    and d.topic = %(topic)s
    and d.partition = r.partition
    and d.record_offset = r.record_offset
    and d.incarnation = (
        select o.incarnation from control.stream_offsets as o where o.topic = d.topic and o.partition = d.partition
    )
    and d.resolved_at is null
returning d.tenant_id, d.received_at, d.resolution
"""


def land_again(connection: psycopg.Connection, delivery: Delivery, habits: Habits) -> Settled:
    """Store what is missing. No offset moves. Raises StreamError for records that have not landed yet."""
    offsets.require_landed(connection, delivery.topic, delivery.moves)
    stored, left_out = store_events(connection, delivery.events, habits, delivery.origins)
    undecodable = [letter_of_record(record) for record in delivery.undecodable]
    kept = dead_letters.keep(connection, [*left_out.letters.values(), *undecodable])
    resolved = _resolve(connection, delivery, left_out)
    tallies = ledger.corrections(
        stored=Counter(cell for cell, resolution in resolved if resolution == "stored"),
        duplicate=Counter(cell for cell, resolution in resolved if resolution == "duplicate"),
        resolved=Counter(cell for cell, _ in resolved),
    )
    ledger.record_counts(connection, tallies)
    ledger.record_progress(connection, {tenant_id for tenant_id, _ in stored})
    return Settled(stored=sum(stored.values()), duplicate=len(left_out.duplicates), dead_lettered=kept)


def _resolve(connection: psycopg.Connection, delivery: Delivery, left_out: LeftOut) -> list[tuple[Cell, str]]:
    """Close the letters of records that are stored now, or duplicates; the cell and resolution of each."""
    duplicates = frozenset(left_out.duplicates)
    settled = [position for position in range(len(delivery.events)) if position not in left_out.letters]
    found = connection.execute(
        RESOLVE,
        {
            "topic": delivery.topic,
            "tenants": [filed_under(delivery.events[position].tenant_id) for position in settled],
            "partitions": [delivery.origins[position].partition for position in settled],
            "offsets": [delivery.origins[position].offset for position in settled],
            "resolutions": ["duplicate" if position in duplicates else "stored" for position in settled],
        },
    ).fetchall()
    return [((tenant_id, hour_of(received_at)), resolution) for tenant_id, received_at, resolution in found]
