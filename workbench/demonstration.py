"""What `workbench demo` sends, and the proof that all of it arrived: counted in the database itself.

The dirty tenant's clock is days ahead, which the API accepts and the gate holds. Its events hang on
the moment at which the tenant was added, so that every run of the demo sends the same ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import msgspec
import psycopg
from msgspec.structs import replace
from psycopg.rows import class_row

from pipeline.core.database import Database
from pipeline.core.errors import TenantError
from pipeline.core.tenants import add_tenant, list_tenants
from workbench.importing.source import open_source
from workbench.synthetic import Population, history

DIRTY_TENANT = "clock-ahead"
DIRTY_EVENTS = 240
DAYS_AHEAD = 9
SCREENS = ("/", "/orders", "/orders/new", "/reports")

# Counted in one statement, hence in one snapshot, while other events may arrive.
WHEREABOUTS = """
select
    t.tenant_id,
    (
        select coalesce(sum(l.stored), 0)::bigint
        from control.ingest_ledger as l
        where l.tenant_id = t.tenant_id
    ) as in_ledger,
    (select count(*) from raw.usage_events as e where e.tenant_id = t.tenant_id) as stored,
    (select count(*) from marts.fct_usage_events as f where f.tenant_id = t.tenant_id) as in_marts,
    (
        select count(*)
        from raw.usage_events as e
        where e.tenant_id = t.tenant_id and e.landed_xid >= coalesce(p.promoted_xid, '0')
    ) as pending
from unnest(%s::text[]) as t (tenant_id)
left join control.promotion_progress as p using (tenant_id)
order by t.tenant_id
"""


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """What a demo sends."""

    title: str
    lines: Iterable[bytes]
    """An export: events as JSON texts, with their tenants."""
    sent: Mapping[str, int]
    """Tenant to its distinct valid events: what must be found in the end."""
    some_invalid: bool
    """Some lines are of the kind that the API refuses."""


class Whereabouts(msgspec.Struct, frozen=True, kw_only=True):
    """Where the events of a tenant are."""

    tenant_id: str
    in_ledger: int
    """Stored, as the ledger has it."""
    stored: int
    """Rows in raw."""
    in_marts: int
    pending: int
    """Rows in raw that no promotion has published."""


def activity(path: Path) -> Dataset:
    """The real data: an export with an event_id in every line. Raises SourceError."""
    sent = _distinct_events(_lines_of(path))
    return Dataset(title=path.name, lines=_lines_of(path), sent=sent, some_invalid=False)


def made_up(population: Population, events: int) -> Dataset:
    """So many synthetic events, and duplicates and dirty ones besides."""
    lines = map(msgspec.json.encode, history(population, events=events))
    sent = {tenant_id: size for tenant_id, size in population.sizes(events).items() if size}
    return Dataset(title="synthetic events", lines=lines, sent=sent, some_invalid=True)


def with_dirty_tenant(dataset: Dataset, added_at: datetime) -> Dataset:
    """The same, and the dirty tenant's events after it."""
    dirty = map(msgspec.json.encode, dirty_events(added_at))
    sent = {**dataset.sent, DIRTY_TENANT: DIRTY_EVENTS}
    return replace(dataset, lines=chain(dataset.lines, dirty), sent=sent)


def add_dirty_tenant(database: Database) -> datetime:
    """The moment at which the dirty tenant was added, which this does if it is not there."""
    # It may be there from an earlier run.
    with suppress(TenantError):
        add_tenant(database, DIRTY_TENANT, display_name="Clock ahead (dirty on purpose)")
    [added] = [tenant.created_at for tenant in list_tenants(database) if tenant.tenant_id == DIRTY_TENANT]
    if added is None:
        raise TenantError(f"Tenant {DIRTY_TENANT} has no moment of its making.")
    return added


def dirty_events(added_at: datetime) -> Iterator[dict[str, object]]:
    """Events of a device whose clock is days ahead of the moment at which its tenant was added."""
    first = added_at.replace(microsecond=0) + timedelta(days=DAYS_AHEAD)
    for number in range(DIRTY_EVENTS):
        yield {
            "tenant_id": DIRTY_TENANT,
            "event_id": str(uuid5(NAMESPACE_URL, f"workbench:demo:{first.isoformat()}:{number}")),
            "event_type": "page_view",
            "occurred_at": (first + timedelta(minutes=number)).isoformat(),
            "user_id": f"tablet-{number % 6}",
            "session_id": f"shift-{number // 40}",
            "properties": {"path": SCREENS[number % len(SCREENS)]},
        }


def find_events(connection: psycopg.Connection, tenants: Iterable[str]) -> list[Whereabouts]:
    """Where the tenants' events are now. The steward may ask."""
    cursor = connection.cursor(row_factory=class_row(Whereabouts))
    return cursor.execute(WHEREABOUTS, (list(tenants),)).fetchall()


def contradictions(found: Iterable[Whereabouts], sent: Mapping[str, int], held: Iterable[str]) -> list[str]:
    """What of the promise does not hold, in sentences; `sent` has the distinct events per tenant."""
    held = set(held)
    wrong = []
    for tenant in found:
        name = tenant.tenant_id
        if tenant.stored < sent[name]:
            wrong.append(f"{name}: {sent[name]:,} events were acknowledged, but {tenant.stored:,} are stored")
        if tenant.stored != tenant.in_ledger:
            wrong.append(f"{name}: {tenant.stored:,} events are stored, the ledger says {tenant.in_ledger:,}")
        if tenant.in_marts + tenant.pending != tenant.stored:
            wrong.append(
                f"{name}: {tenant.in_marts:,} events in the marts and {tenant.pending:,} pending "
                f"are not the {tenant.stored:,} stored"
            )
        if tenant.in_marts < sent[name] and name not in held:
            wrong.append(f"{name}: only {tenant.in_marts:,} events are in the marts, though nothing holds it")
        if (name == DIRTY_TENANT) != (name in held):
            wrong.append(f"{name}: is {'held' if name in held else 'not held'}, against expectation")
    return wrong


def _distinct_events(lines: Iterable[bytes]) -> dict[str, int]:
    """How many events each tenant has in an export, counted by id."""
    ids: defaultdict[str, set[str]] = defaultdict(set)
    for line in lines:
        named = _named.decode(line)
        ids[named.tenant_id].add(named.event_id)
    return {tenant_id: len(found) for tenant_id, found in ids.items()}


def _lines_of(path: Path) -> Iterator[bytes]:
    with open_source(path) as source:
        yield from source


class _Named(msgspec.Struct):
    tenant_id: str
    event_id: str


_named = msgspec.json.Decoder(_Named)
