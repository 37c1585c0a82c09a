"""A batch: the steps of one landing transaction, in order. It neither begins nor commits it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
import psycopg

from pipeline.core.events import Event, Fate, Landed
from pipeline.land import arrivals, dead_letters, ledger
from pipeline.land.dead_letters import NO_TENANT, DeadLetter, Reason, filed_under
from pipeline.land.ledger import Tally

# Suspended tenants are among them: what was acknowledged before the suspension is still theirs.
KNOWN_TENANTS = "select tenant_id from control.tenants where tenant_id = any(%(tenant_ids)s)"

STORED = Landed(fate=Fate.STORED)
DUPLICATE = Landed(fate=Fate.DUPLICATE)


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """The events of a batch that are not stored, by position."""

    duplicates: Sequence[int]
    letters: Mapping[int, DeadLetter]


def land_batch(connection: psycopg.Connection, events: Sequence[Event]) -> list[Landed]:
    """Store, compare, keep what cannot be stored, and count. The fates hold once this is committed."""
    known = _known_tenants(connection, {event.tenant_id for event in events})
    positions = [position for position, event in enumerate(events) if event.tenant_id in known]
    refused = arrivals.stage(connection, events, positions)
    stored = arrivals.store(connection)
    complete = sum(stored.values()) + len(refused) == len(positions)
    taken = {} if complete else arrivals.find_taken(connection)
    left_out = judge(events, known=known, refused=refused, taken=taken)
    if left_out.letters:
        dead_letters.keep(connection, list(left_out.letters.values()))
    ledger.record_counts(connection, tally(events, stored=stored, left_out=left_out))
    if stored:
        ledger.record_progress(connection, stored)
    return fates(len(events), left_out)


def judge(
    events: Sequence[Event], *, known: frozenset[str], refused: Mapping[int, str], taken: Mapping[int, bytes]
) -> LeftOut:
    """What becomes of the events that are not stored, from what the database said of them.

    By position, `refused` holds its reason, and `taken` the payload hash stored under the event's key.
    """
    letters = {p: _unknown_tenant(event) for p, event in enumerate(events) if event.tenant_id not in known}
    for p, detail in refused.items():
        letters[p] = DeadLetter(event=events[p], reason=Reason.REFUSED_BY_DATABASE, detail=detail)
    duplicates = []
    for p, stored_hash in taken.items():
        if events[p].payload_hash == stored_hash:
            duplicates.append(p)
        else:
            letters[p] = _conflict(events[p], stored_hash)
    return LeftOut(duplicates=duplicates, letters=letters)


def tally(events: Sequence[Event], *, stored: Mapping[str, int], left_out: LeftOut) -> list[Tally]:
    """The counts of each tenant in the batch; those in `stored` are the database's own."""
    accepted: Counter[str] = Counter()
    for tenant_id, count in Counter([event.tenant_id for event in events]).items():
        accepted[filed_under(tenant_id)] += count
    duplicate = Counter(events[p].tenant_id for p in left_out.duplicates)
    dead_lettered = Counter(letter.tenant_id for letter in left_out.letters.values())
    return [
        Tally(
            tenant_id=tenant_id,
            accepted=count,
            stored=stored.get(tenant_id, 0),
            duplicate=duplicate[tenant_id],
            dead_lettered=dead_lettered[tenant_id],
        )
        for tenant_id, count in accepted.items()
    ]


def fates(count: int, left_out: LeftOut) -> list[Landed]:
    """The fate of each of `count` events, in their order."""
    told = [STORED] * count
    for position in left_out.duplicates:
        told[position] = DUPLICATE
    for position, letter in left_out.letters.items():
        told[position] = letter.landed
    return told


def _known_tenants(connection: psycopg.Connection, tenant_ids: set[str]) -> frozenset[str]:
    # What cannot be a tenant id may not even be text that a query can ask for.
    possible = [tenant_id for tenant_id in tenant_ids if filed_under(tenant_id) != NO_TENANT]
    found = connection.execute(KNOWN_TENANTS, {"tenant_ids": possible}).fetchall()
    return frozenset(tenant_id for (tenant_id,) in found)


def _unknown_tenant(event: Event) -> DeadLetter:
    return DeadLetter(event=event, reason=Reason.UNKNOWN_TENANT, detail="there is no tenant of this id")


def _conflict(event: Event, stored_hash: bytes) -> DeadLetter:
    return DeadLetter(
        event=event,
        reason=Reason.CONFLICT,
        detail="event_id is taken by an event with another payload: "
        f"{stored_hash.hex()} is stored, {event.payload_hash.hex()} was sent",
    )
