"""What a way of publishing has to answer to be a subject of the kit, and how its readers read."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec
import psycopg


class Relation(msgspec.Struct, frozen=True):
    """A published relation that readers name in their SQL."""

    schema: str
    name: str

    def __str__(self) -> str:
        """As SQL names it; both parts are plain identifiers."""
        return f"{self.schema}.{self.name}"


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """Where readers read. The sum of `metrics.events` is to be the number of `facts`, at every moment."""

    facts: Relation
    """Has the columns tenant_id, event_id and lag_seconds; one row per tenant and event."""
    metrics: Relation
    """Has the columns tenant_id, day, event_type and events; one row per tenant, day and event type."""
    users: Relation
    """Has the columns tenant_id, user_id and events; one row per tenant and user."""
    own_metrics: Relation
    """What a tenant reads: `metrics`, its own rows only."""
    more: tuple[Relation, ...] = ()
    """Whatever else is published."""

    @property
    def published(self) -> tuple[Relation, ...]:
        """Everything that is published."""
        return (*self.tables, self.own_metrics, *self.more)

    @property
    def tables(self) -> tuple[Relation, ...]:
        """What is read by those who may read all tenants."""
        return (self.facts, self.metrics, self.users)


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a publication. `ok`: it went through and held nobody back; `told` is what it says of itself."""

    ok: bool
    told: str


class Unsupported(Exception):
    """The subject has no such thing; the message says what it has instead."""


class Subject(Protocol):
    """A way of publishing, on a database of its own in which `raw.usage_events` is landed by the kit."""

    name: str
    reading: Reading

    def prepare(self) -> None:
        """Create whatever there is before the first publication."""
        ...

    def publish(self, *, full_refresh: bool = False) -> Published:
        """Publish what was landed since the last time, or everything anew. Raises for nothing that its user meets."""
        ...

    def undo(self, publications: int) -> None:
        """Bring back what was published before the last so many publications. Raises Unsupported."""
        ...

    def blind(self) -> None:
        """Hide all landed rows by row security from the role that builds, and so from what is checked."""
        ...

    def as_analyst(self) -> AbstractContextManager[psycopg.Connection]:
        """A connection of a reader who may see all tenants, in autocommit."""
        ...

    def as_tenant(self, tenant: str) -> AbstractContextManager[psycopg.Connection]:
        """A connection of a reader who may see one tenant, in autocommit."""
        ...


class Answer(msgspec.Struct, frozen=True):
    """Whether a promise held, and what was measured."""

    holds: bool
    detail: str


Answers = Sequence[Answer]
"""One for each promise of a scenario, in their order."""
