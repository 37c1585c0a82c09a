"""Arrivals: the batch inside the database, in a temporary table that is empty again after each transaction.

The table has the column types of `raw.usage_events`, so whatever PostgreSQL refuses of an event it
refuses here, where a savepoint undoes it and no lock is held yet. COPY cannot write to the raw
table itself: it does not work under row security, which the lander is subject to.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

import psycopg
from msgspec.structs import astuple
from psycopg import errors

from pipeline.core.events import Event
from pipeline.land.bisection import isolate
from pipeline.land.screening import Screen

# The comparison probes the key, whatever the planner believes about sizes: statistics lag behind a
# fast load, and one plan that reads the whole raw table would hold all landing up. Without JIT,
# since the older servers price a forbidden plan so high that they would compile the statement.
PROBE_KEYS = """
set jit = off;
set enable_seqscan = off;
set enable_hashjoin = off;
set enable_mergejoin = off
"""

CREATE_ARRIVALS = """
create temporary table arrivals on commit delete rows as
select
    0 as position,
    tenant_id,
    event_id,
    event_type,
    occurred_at,
    received_at,
    user_id,
    session_id,
    properties,
    payload_hash
from raw.usage_events
with no data
"""

COPY_ARRIVALS = "copy pg_temp.arrivals from stdin (format binary)"
# One that is stopped in the middle of its COPY is not idle to PostgreSQL, which waits for ever and holds
# the bound of every promotion. No timeout reaches it; another lander, having its role, may.
END_STOPPED = """
select pg_terminate_backend(pid) from pg_stat_activity
where
    datname = current_database()
    and usename = session_user
    and wait_event = 'ClientRead'
    and query = %(copy)s
    and clock_timestamp() - query_start > %(patience)s
"""
PATIENCE = timedelta(seconds=20)
# How each value goes over the wire. JSONB travels as text behind its version, which is bytes as
# they are to us: they come encoded.
WIRE_TYPES = ("int4", "text", "uuid", "text", "timestamptz", "timestamptz", "text", "text", "bytea", "bytea")
JSONB_VERSION = b"\x01"

# Statements of their own: their snapshot sees what concurrent landers committed while the insert waited.
FIND_TAKEN = """
select position, stored_hash
from (
    select
        a.position,
        e.payload_hash as stored_hash,
        e.landed_xid = pg_current_xact_id() as landed_now,
        row_number() over (partition by a.tenant_id, a.event_id order by a.position) as turn
    from pg_temp.arrivals as a
    inner join raw.usage_events as e using (tenant_id, event_id)
) as met
where not (landed_now and turn = 1)
order by position
"""

FIND_HASHES = """
select a.position, e.payload_hash
from pg_temp.arrivals as a
inner join raw.usage_events as e using (tenant_id, event_id)
where a.position = any(%(positions)s)
"""

# The last line of an error's context; those above it may quote what was sent.
LINE = re.compile(r"COPY arrivals, \D*(\d+).*")

# What PostgreSQL, or the encoding on the way to it, refuses because of the values themselves.
REFUSALS = (psycopg.DataError, errors.ProgramLimitExceeded, errors.StatementTooComplex, UnicodeEncodeError)


def prepare(connection: psycopg.Connection) -> None:
    """Make a new connection ready for batches."""
    connection.execute(PROBE_KEYS)
    connection.execute(CREATE_ARRIVALS)


def end_stopped(connection: psycopg.Connection) -> None:
    """End the sessions of landers that have been silent for long in the middle of copying their arrivals."""
    connection.execute(END_STOPPED, {"copy": COPY_ARRIVALS, "patience": PATIENCE})


def stage(
    connection: psycopg.Connection, events: Sequence[Event], positions: Sequence[int], screen: Screen
) -> dict[int, str]:
    """Copy the events at these positions into the database; returns why it refused some, by position."""

    def attempt(some: Sequence[int]) -> None:
        with connection.transaction():
            _copy(connection, events, some)

    refused = [
        each for part in screen.divide(events, positions) for each in isolate(part, attempt, REFUSALS, _refused_line)
    ]
    screen.learn(len(refused))
    return {position: _reason(refusal) for position, refusal in refused}


def find_hashes(connection: psycopg.Connection, positions: Sequence[int]) -> dict[int, bytes]:
    """The payload hash that is stored under the key of each of these staged arrivals, by position."""
    return dict(connection.execute(FIND_HASHES, {"positions": list(positions)}).fetchall())


def find_taken(connection: psycopg.Connection) -> dict[int, bytes]:
    """The staged arrivals that were not stored: the payload hash that is stored under their key, by position."""
    return dict(connection.execute(FIND_TAKEN).fetchall())


def _copy(connection: psycopg.Connection, events: Sequence[Event], positions: Sequence[int]) -> None:
    with connection.cursor().copy(COPY_ARRIVALS) as copy:
        copy.set_types(WIRE_TYPES)
        for position in positions:
            copy.write_row(
                # In the order of its fields, the first seven and the payload hash as they are.
                (position, *(fields := astuple(events[position]))[:7], JSONB_VERSION + fields[7], fields[8])
            )


def _refused_line(refusal: Exception) -> int | None:
    """The row of a COPY that was refused, from 0, as PostgreSQL tells it, in whatever language."""
    context = (refusal.diag.context or "") if isinstance(refusal, psycopg.Error) else ""
    match = LINE.fullmatch(context.rpartition("\n")[2])
    return int(match[1]) - 1 if match else None


def _reason(refusal: Exception) -> str:
    """The kind of the refusal: its message may repeat what was sent."""
    if isinstance(refusal, psycopg.Error):
        return f"PostgreSQL refuses the event: {type(refusal).__name__} ({refusal.sqlstate or 'no SQLSTATE'})"
    return "the event holds text that has no UTF-8 form"
