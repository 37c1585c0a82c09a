"""Replaying dead letters: landing again what could not be stored, after its cause is mended.

A letter is locked, landed like any arrival, and marked, in one transaction with the ledger and the
audit log: it counts once, whoever else replays it at the same time. What still cannot be stored
stays an open letter, with the newest reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import Literal
from uuid import UUID, uuid4

import msgspec
import psycopg
from psycopg.rows import class_row

from pipeline.core import audit
from pipeline.core.clock import hour_of
from pipeline.core.events import Event, InvalidEventError, decode_event
from pipeline.core.settings import IngestLimits
from pipeline.land import ledger
from pipeline.land.batch import store_events
from pipeline.land.dead_letters import Reason
from pipeline.land.habits import Habits
from pipeline.land.ledger import Cell
from pipeline.land.session import LandingSession
from pipeline.stream import record

LETTERS_AT_ONCE = 1_000
ACTION = "replay dead letters"

FIND = """
select tenant_id, dead_letter_id, event_id, reason, detail, original, received_at
from raw.dead_letters
where
    resolved_at is null
    and (tenant_id, dead_letter_id) > (%(after_tenant)s, %(after_letter)s::uuid)
    and (%(tenant_id)s::text is null or tenant_id = %(tenant_id)s)
    and (%(reason)s::text is null or reason = %(reason)s)
    and (%(letters)s::uuid[] is null or dead_letter_id = any(%(letters)s))
order by tenant_id, dead_letter_id
limit %(limit)s
for update skip locked
"""
MARK = """
update raw.dead_letters as d
set
    replays = d.replays + 1,
    reason = m.reason,
    detail = m.detail,
    resolution = m.resolution,
    resolved_at = case when m.resolution is not null then now() end
from unnest(
    %(tenants)s::text[], %(letters)s::uuid[], %(reasons)s::text[], %(details)s::text[], %(resolutions)s::text[]
) as m (tenant_id, dead_letter_id, reason, detail, resolution)
where d.tenant_id = m.tenant_id and d.dead_letter_id = m.dead_letter_id
"""

Resolution = Literal["stored", "duplicate"]


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which open letters to replay: those that fit all that is given."""

    tenant_id: str | None = None
    reason: Reason | None = None
    letters: Sequence[UUID] | None = None


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """How many letters were tried, and what became of them; the rest stay open."""

    tried: int = 0
    stored: int = 0
    duplicate: int = 0

    @property
    def remaining(self) -> int:
        """Letters that were tried and stay open."""
        return self.tried - self.stored - self.duplicate


class _Letter(msgspec.Struct, frozen=True, kw_only=True):
    tenant_id: str
    dead_letter_id: UUID
    event_id: UUID | None
    reason: str
    detail: str
    original: bytes
    received_at: datetime


class _Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a letter: a resolution, or the reason for which it stays."""

    letter: _Letter
    event: Event | None
    resolution: Resolution | None
    reason: str
    detail: str


class LetterReplayer:
    """Replays open dead letters; it belongs to one thread. `connect` is as for LandingSession."""

    def __init__(self, connect: Callable[[], psycopg.Connection], *, limits: IngestLimits) -> None:
        self._session = LandingSession(connect)
        self._habits = Habits()
        self._limits = limits

    def replay(
        self, selection: Selection, *, actor: str, progress: Callable[[Replayed], None] = lambda _: None
    ) -> Replayed:
        """Try each selected open letter once; `progress` is told of every thousand.

        Raises DatabaseUnavailable; what was told as progress is durable.
        """
        total, after = Replayed(), ("", UUID(int=0))
        while True:
            verdicts = self._session.run(partial(self._replay, selection=selection, after=after, actor=actor))
            if not verdicts:
                return total
            total = _sum(total, verdicts)
            last = verdicts[-1].letter
            after = (last.tenant_id, last.dead_letter_id)
            progress(total)

    def close(self) -> None:
        """Let go of the connection."""
        self._session.close()

    def _replay(
        self, connection: psycopg.Connection, selection: Selection, after: tuple[str, UUID], actor: str
    ) -> list[_Verdict]:
        letters = _find(connection, selection, after)
        if not letters:
            return []
        read = [self._read(letter) for letter in letters]
        verdicts = [each for each in read if isinstance(each, _Verdict)]
        verdicts += self._land(connection, [each for each in read if not isinstance(each, _Verdict)])
        verdicts.sort(key=lambda verdict: (verdict.letter.tenant_id, verdict.letter.dead_letter_id))
        _mark(connection, verdicts)
        _count(connection, verdicts)
        _audit(connection, selection, verdicts, actor)
        return verdicts

    def _land(self, connection: psycopg.Connection, read: Sequence[tuple[_Letter, Event]]) -> list[_Verdict]:
        _, left_out = store_events(connection, [event for _, event in read], self._habits)
        duplicates = frozenset(left_out.duplicates)
        verdicts = []
        for position, (letter, event) in enumerate(read):
            still = left_out.letters.get(position)
            resolution: Resolution | None = None if still else "duplicate" if position in duplicates else "stored"
            reason, detail = (letter.reason, letter.detail) if still is None else (still.reason.value, still.detail)
            if letter.reason == Reason.UNDECODABLE:
                # It also says that what is kept is a record, and no JSON.
                reason = letter.reason
            verdicts.append(_Verdict(letter=letter, event=event, resolution=resolution, reason=reason, detail=detail))
        return verdicts

    def _read(self, letter: _Letter) -> tuple[_Letter, Event] | _Verdict:
        """The event in a letter, or the verdict that there is none."""
        try:
            if letter.reason == Reason.UNDECODABLE:
                return letter, record.decode_event(letter.original)
            event = decode_event(
                letter.original,
                tenant_id=letter.tenant_id,
                received_at=letter.received_at,
                limits=self._limits,
                allowed_types=None,
                new_id=lambda: letter.event_id or uuid4(),
            )
        except (InvalidEventError, record.UndecodableRecord) as error:
            return _Verdict(letter=letter, event=None, resolution=None, reason=letter.reason, detail=error.message)
        return letter, event


def _find(connection: psycopg.Connection, selection: Selection, after: tuple[str, UUID]) -> list[_Letter]:
    values = {
        "after_tenant": after[0],
        "after_letter": after[1],
        "tenant_id": selection.tenant_id,
        "reason": selection.reason,
        "letters": None if selection.letters is None else list(selection.letters),
        "limit": LETTERS_AT_ONCE,
    }
    return connection.cursor(row_factory=class_row(_Letter)).execute(FIND, values).fetchall()


def _mark(connection: psycopg.Connection, verdicts: Sequence[_Verdict]) -> None:
    connection.execute(
        MARK,
        {
            "tenants": [verdict.letter.tenant_id for verdict in verdicts],
            "letters": [verdict.letter.dead_letter_id for verdict in verdicts],
            "reasons": [verdict.reason for verdict in verdicts],
            "details": [verdict.detail for verdict in verdicts],
            "resolutions": [verdict.resolution for verdict in verdicts],
        },
    )


def _count(connection: psycopg.Connection, verdicts: Sequence[_Verdict]) -> None:
    """Move the resolved letters' events in the ledger; none arrived that had not arrived before."""
    resolved: Counter[Cell] = Counter()
    settled: dict[str, Counter[Cell]] = {"stored": Counter(), "duplicate": Counter()}
    for verdict in verdicts:
        if verdict.resolution and verdict.event:
            resolved[verdict.letter.tenant_id, hour_of(verdict.letter.received_at)] += 1
            settled[verdict.resolution][verdict.event.tenant_id, hour_of(verdict.event.received_at)] += 1
    tallies = ledger.corrections(stored=settled["stored"], duplicate=settled["duplicate"], resolved=resolved)
    ledger.record_counts(connection, tallies)
    ledger.record_progress(connection, {tenant_id for tenant_id, _ in settled["stored"]})


def _audit(connection: psycopg.Connection, selection: Selection, verdicts: Sequence[_Verdict], actor: str) -> None:
    """One row a tenant, naming the letters that were resolved."""
    for tenant_id, those in groupby(verdicts, key=lambda verdict: verdict.letter.tenant_id):
        tried = list(those)
        resolved = {str(verdict.letter.dead_letter_id): verdict.resolution for verdict in tried if verdict.resolution}
        details = {"tried": len(tried), "resolved": resolved, "selection": msgspec.to_builtins(selection)}
        audit.record(connection, actor=actor, action=ACTION, tenant_id=tenant_id, details=details)


def _sum(total: Replayed, verdicts: Sequence[_Verdict]) -> Replayed:
    resolutions = Counter(verdict.resolution for verdict in verdicts)
    return Replayed(
        tried=total.tried + len(verdicts),
        stored=total.stored + resolutions["stored"],
        duplicate=total.duplicate + resolutions["duplicate"],
    )
