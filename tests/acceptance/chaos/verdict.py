"""The verdict: what is in the database, event by event, against the model, the poison and the topic."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from pipeline.core.database import Database
from pipeline.core.events import Event
from tests.acceptance.chaos.model import Book, Content, Id, text_of
from tests.acceptance.chaos.system import TOPIC, System
from tests.acceptance.chaos.topic import Record, read
from tests.acceptance.chaos.traffic import Traffic

RAW = """
select tenant_id, event_id::text, event_type, occurred_at, user_id, session_id, properties, received_at, payload_hash
from raw.usage_events
"""
LETTERS = """
select tenant_id, reason, original, topic, partition, record_offset, event_id::text, received_at
from raw.dead_letters where resolved_at is null
"""
LEDGER = "select tenant_id, hour, accepted, stored, duplicate, dead_lettered from control.ingest_ledger"
GAPS = "select * from control.stream_gaps"

Cell = tuple[str, datetime]
"""A tenant and an hour of receipt."""
Letter = tuple[str, str, bytes]
"""Tenant that it is filed under, reason, original."""
Place = tuple[int, int]
"""Partition and offset."""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """How much was compared."""

    rows: int
    records: int
    duplicates: int
    letters: Counter[str]
    taken_in_doubt: int


def judge(system: System, traffic: Traffic) -> Findings:
    """Raise AssertionError at the first difference."""
    database, book, poison = system.database, traffic.book, traffic.poisoner.placed
    raw = _ask(database, RAW)
    rows = {(row[0], row[1]): row[2:] for row in raw}
    assert len(rows) == len(raw)
    contents = {key: _content(row) for key, row in rows.items()}
    taken_in_doubt = _judge_rows(contents, book)

    letters = _ask(database, LETTERS)
    found = {(row[4], row[5]): (row[0], row[1], bytes(row[2])) for row in letters}
    assert len(found) == len(letters), "a record has two dead letters"
    assert {row[3] for row in letters} <= {TOPIC}
    accepted, due = _read_topic(
        read(system.broker.direct_bootstrap, TOPIC), poison, {key: row[6] for key, row in rows.items()}
    )
    assert found == due, _difference(found, due)
    _judge_conflicts(letters, contents, book)

    stored = Counter((tenant, _hour(row[5])) for (tenant, _), row in rows.items())
    dead = Counter((row[0], _hour(row[7])) for row in letters)
    duplicates = _judge_ledger(_ask(database, LEDGER), accepted=accepted, stored=stored, dead=dead)
    assert _ask(database, GAPS) == []
    return Findings(
        rows=len(rows),
        records=accepted.total(),
        duplicates=duplicates,
        letters=Counter(row[1] for row in letters),
        taken_in_doubt=taken_in_doubt,
    )


def _judge_rows(contents: dict[Id, Content], book: Book) -> int:
    """Every id that was acknowledged, once, with a content acknowledged for it; answers how many others there are."""
    lost = book.acknowledged.keys() - contents.keys()
    assert not lost, f"{len(lost)} acknowledged events are lost, of them {sorted(lost)[:3]}"
    others: Counter[tuple[str, Content]] = Counter()
    for key, content in contents.items():
        if key in book.acknowledged:
            assert content in book.acknowledged[key], (key, content)
        else:
            others[key[0], content] += 1
    # Sent without an id, and not answered: the client cannot know whether it was taken.
    assert others <= book.in_doubt, f"never sent: {list((others - book.in_doubt).items())[:3]}"
    return others.total()


def _read_topic(
    records: Iterable[Record], poison: dict[Place, Letter], hashes: dict[Id, bytes]
) -> tuple[Counter[Cell], dict[Place, Letter]]:
    """What the records make of the ledger's `accepted`, and which of them must be dead letters."""
    decoder = msgspec.msgpack.Decoder(Event)
    accepted: Counter[Cell] = Counter()
    due: dict[Place, Letter] = {}
    for record in records:
        place = record.partition, record.offset
        try:
            event = decoder.decode(record.value)
            received_at = event.received_at
        except (msgspec.DecodeError, UnicodeDecodeError):
            event, received_at = None, record.appended_at
        if place in poison:
            due[place] = poison[place]
            tenant = poison[place][0]
        else:
            assert event is not None, f"the system wrote {record}"
            tenant = event.tenant_id
            stored_hash = hashes.get((tenant, str(event.event_id)))
            assert stored_hash is not None, f"nothing is stored of the record at {place}"
            if event.payload_hash != stored_hash:
                due[place] = (tenant, "conflict", event.original)
        accepted[tenant, _hour(received_at)] += 1
    assert due.keys() >= poison.keys(), "poison is not where the broker said"
    return accepted, due


def _judge_conflicts(letters: list[tuple[Any, ...]], contents: dict[Id, Content], book: Book) -> None:
    """Of each id one content is stored; every other one that was acknowledged is kept, and nothing else."""
    kept: defaultdict[Id, set[Content]] = defaultdict(set)
    for tenant, reason, original, *_, event_id, _ in letters:
        if reason == "conflict":
            sent = json.loads(bytes(original))
            # It has none where the API gave one, and another event under that id landed first.
            sent.pop("event_id", None)
            kept[tenant, event_id].add(Content(**sent | {"properties": text_of(sent["properties"])}))
    due = {key: others for key, acknowledged in book.acknowledged.items() if (others := acknowledged - {contents[key]})}
    assert kept == due, _difference(kept, due)


def _judge_ledger(
    ledger: list[tuple[Any, ...]], *, accepted: Counter[Cell], stored: Counter[Cell], dead: Counter[Cell]
) -> int:
    """Balanced per tenant and hour, and each count as topic and tables have it; answers how many duplicates."""
    duplicates = 0
    for tenant, hour, *counts in ledger:
        cell = tenant, hour
        assert counts[0] == sum(counts[1:]), (cell, counts)
        assert (counts[0], counts[1], counts[3]) == (accepted[cell], stored[cell], dead[cell]), (cell, counts)
        duplicates += counts[2]
    assert {(row[0], row[1]) for row in ledger} == accepted.keys()
    return duplicates


def _content(row: tuple[Any, ...]) -> Content:
    event_type, occurred_at, user_id, session_id, properties, *_ = row
    return Content(event_type, occurred_at.isoformat(), user_id, session_id, text_of(properties))


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _difference(found: dict[Any, Any], due: dict[Any, Any]) -> str:
    differing = [key for key in found.keys() | due.keys() if found.get(key) != due.get(key)]
    some = [(key, found.get(key), due.get(key)) for key in differing[:3]]
    return f"{len(differing)} differ; some as they are, and as they must be: {some}"


def _ask(database: Database, query: Any) -> list[tuple[Any, ...]]:
    with database.connect_admin() as connection:
        return connection.execute(query).fetchall()
