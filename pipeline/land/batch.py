"""A batch: the steps of one landing transaction, in order. It neither begins nor commits it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import msgspec
import psycopg

from pipeline.core.clock import EPOCH, hour_of
from pipeline.core.events import Event, Fate, Landed
from pipeline.land import arrivals, dead_letters, ledger, offsets
from pipeline.land.dead_letters import NO_TENANT, DeadLetter, Reason, filed_under, letter_of, letter_of_record
from pipeline.land.habits import Habits
from pipeline.land.ledger import Cell, Tally
from pipeline.stream.delivery import Delivery, Origin, Settled

# Suspended tenants are among them: what was acknowledged before the suspension is still theirs.
KNOWN_TENANTS = "select tenant_id from control.tenants where tenant_id = any(%(tenant_ids)s)"

FEW_TAKEN = 500
"""Up to so many taken keys are looked up by themselves, beyond with all of the batch."""

STORED = Landed(fate=Fate.STORED)
DUPLICATE = Landed(fate=Fate.DUPLICATE)


class Staged(msgspec.Struct, frozen=True, kw_only=True):
    """A batch whose events are in the database's temporary table, but for the refused and the unknown."""

    events: Sequence[Event]
    known: frozenset[str]
    refused: Mapping[int, str]
    count: int


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """The events of a batch that are not stored, by position."""

    duplicates: Sequence[int]
    letters: Mapping[int, DeadLetter]


def land_batch(connection: psycopg.Connection, events: Sequence[Event], habits: Habits) -> list[Landed]:
    """Store, compare, keep what cannot be stored, and count. The fates hold once this is committed."""
    stored, left_out = _store(connection, _stage(connection, events, habits), habits)
    dead_letters.keep(connection, list(left_out.letters.values()))
    _record(connection, tally(events, stored=stored, left_out=left_out))
    return fates(len(events), left_out)


def land_delivery(connection: psycopg.Connection, delivery: Delivery, habits: Habits) -> Settled:
    """The same with records of a stream, whose offsets move along. Raises OffsetsMoved."""
    staged = _stage(connection, delivery.events, habits)
    # Behind the slow part, so that the row is not locked for longer than needed, and before anything
    # is stored: a consumer that was given up writes nothing.
    offsets.advance(connection, delivery.topic, delivery.moves, delivery.marks)
    stored, left_out = _store(connection, staged, habits, delivery.origins)
    undecodable = [letter_of_record(record) for record in delivery.undecodable]
    dead_letters.keep(connection, [*left_out.letters.values(), *undecodable])
    _record(connection, tally(delivery.events, stored=stored, left_out=left_out, undecodable=undecodable))
    return Settled(
        stored=sum(stored.values()),
        duplicate=len(left_out.duplicates),
        dead_lettered=len(left_out.letters) + len(undecodable),
    )


def store_events(
    connection: psycopg.Connection, events: Sequence[Event], habits: Habits, origins: Sequence[Origin] = ()
) -> tuple[dict[Cell, int], LeftOut]:
    """Store what can be; how many rows that is, and what is left out. Neither letters nor counts are kept."""
    return _store(connection, _stage(connection, events, habits), habits, origins)


def judge(
    events: Sequence[Event],
    *,
    known: frozenset[str],
    refused: Mapping[int, str],
    taken: Mapping[int, bytes],
    origins: Sequence[Origin] = (),
) -> LeftOut:
    """What becomes of the events that are not stored, from what the database said of them.

    By position, `refused` holds its reason, and `taken` the payload hash stored under the event's key.
    """
    letters: dict[int, DeadLetter] = {}
    duplicates: list[int] = []

    def add(position: int, reason: Reason, detail: str) -> None:
        letters[position] = letter_of(events[position], reason, detail, origins[position] if origins else None)

    for position, event in enumerate(events):
        if event.tenant_id not in known:
            add(position, Reason.UNKNOWN_TENANT, "there is no tenant of this id")
    for position, detail in refused.items():
        add(position, Reason.REFUSED_BY_DATABASE, detail)
    for position, stored_hash in taken.items():
        if events[position].payload_hash == stored_hash:
            duplicates.append(position)
        else:
            add(position, Reason.CONFLICT, _conflict(events[position], stored_hash))
    return LeftOut(duplicates=duplicates, letters=letters)


def tally(
    events: Sequence[Event],
    *,
    stored: Mapping[Cell, int],
    left_out: LeftOut,
    undecodable: Sequence[DeadLetter] = (),
) -> list[Tally]:
    """The counts of each tenant and hour in the batch; those in `stored` are the database's own."""
    accepted: Counter[Cell] = Counter(_cell(letter) for letter in undecodable)
    for (tenant_id, hour), count in Counter(_cells(events)).items():
        accepted[filed_under(tenant_id), hour] += count
    duplicate = Counter((events[p].tenant_id, hour_of(events[p].received_at)) for p in left_out.duplicates)
    dead_lettered = Counter(_cell(letter) for letter in (*left_out.letters.values(), *undecodable))
    return [
        Tally(
            tenant_id=cell[0],
            hour=cell[1],
            accepted=count,
            stored=stored.get(cell, 0),
            duplicate=duplicate[cell],
            dead_lettered=dead_lettered[cell],
        )
        for cell, count in accepted.items()
    ]


def fates(count: int, left_out: LeftOut) -> list[Landed]:
    """The fate of each of `count` events, in their order."""
    told = [STORED] * count
    for position in left_out.duplicates:
        told[position] = DUPLICATE
    for position, letter in left_out.letters.items():
        told[position] = letter.landed
    return told


def _stage(connection: psycopg.Connection, events: Sequence[Event], habits: Habits) -> Staged:
    known = _known_tenants(connection, {event.tenant_id for event in events})
    positions = [position for position, event in enumerate(events) if event.tenant_id in known]
    refused = arrivals.stage(connection, events, positions, habits.screen)
    return Staged(events=events, known=known, refused=refused, count=len(positions) - len(refused))


def _store(
    connection: psycopg.Connection, staged: Staged, habits: Habits, origins: Sequence[Origin] = ()
) -> tuple[dict[Cell, int], LeftOut]:
    stored = habits.storer.store(connection, staged.count)
    if stored.accounted != staged.count or len(stored.taken) > FEW_TAKEN:
        taken = arrivals.find_taken(connection)
    else:
        taken = arrivals.find_hashes(connection, stored.taken) if stored.taken else {}
    left_out = judge(staged.events, known=staged.known, refused=staged.refused, taken=taken, origins=origins)
    return dict(stored.rows), left_out


def _record(connection: psycopg.Connection, tallies: Sequence[Tally]) -> None:
    ledger.record_counts(connection, tallies)
    ledger.record_progress(connection, {tally.tenant_id for tally in tallies if tally.stored})


def _cells(events: Sequence[Event]) -> Iterator[Cell]:
    """The cell of each event; neighbours are mostly of one request, and so of one hour."""
    received_at, hour = EPOCH, 0
    for event in events:
        if event.received_at != received_at:
            received_at = event.received_at
            hour = hour_of(received_at)
        yield event.tenant_id, hour


def _cell(letter: DeadLetter) -> Cell:
    return letter.tenant_id, hour_of(letter.received_at)


def _known_tenants(connection: psycopg.Connection, tenant_ids: set[str]) -> frozenset[str]:
    # What cannot be a tenant id may not even be text that a query can ask for.
    possible = [tenant_id for tenant_id in tenant_ids if filed_under(tenant_id) != NO_TENANT]
    found = connection.execute(KNOWN_TENANTS, {"tenant_ids": possible}).fetchall()
    return frozenset(tenant_id for (tenant_id,) in found)


def _conflict(event: Event, stored_hash: bytes) -> str:
    return (
        "event_id is taken by an event with another payload: "
        f"{stored_hash.hex()} is stored, {event.payload_hash.hex()} was sent"
    )
