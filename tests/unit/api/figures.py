"""Figures that tests make up instead of a database."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pipeline.core.errors import WorkbenchError
from pipeline.core.metrics.reading import Part, Publication, Reading, Want

AS_OF = datetime(2026, 3, 2, 10, tzinfo=UTC)
PUBLISHED = Publication(promotion_id=7, as_of=AS_OF)


class StandIn:
    """Answers any question with numbered days, and remembers what it was asked."""

    def __init__(self, *, rows: int = 3) -> None:
        self.publication = PUBLISHED
        self.failure: WorkbenchError | None = None
        self.asked: list[tuple[str, Part]] = []
        self.free = threading.Event()
        self.free.set()
        self.rows = [{"period_start": date(2026, 2, 1) + timedelta(days=n), "events": n} for n in range(rows)]

    def read(self, tenant_id: str, want: Want) -> Reading:
        self.free.wait(10)
        if self.failure is not None:
            raise self.failure
        part = want(self.publication)
        if part is None:
            return Reading(publication=self.publication, rows=None)
        self.asked.append((tenant_id, part))
        rows: list[dict[str, Any]] = self.rows[part.offset : part.offset + part.limit]
        return Reading(publication=self.publication, rows=rows, more=part.offset + part.limit < len(self.rows))
