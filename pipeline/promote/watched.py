"""What a promotion leaves for those who watch it: its log lines, its trace, and how long its steps took.

A promotion may be carried on by several processes, one after the other: its steps stay in one trace,
which links to the landings of what it takes up. Nothing of this decides about a promotion.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

import psycopg
from opentelemetry.trace import SpanKind
from psycopg.types.json import Jsonb

from pipeline.core import logs, tracing

KEPT = timedelta(days=1)
"""What nobody linked to by then is forgotten; it is there only where landing is traced and promoting is not."""

SPAN = "select traceparent from control.promotions where promotion_id = %s and traceparent is not null"
KEEP_SPAN = "update control.promotions set traceparent = %(traceparent)s where promotion_id = %(promotion)s"

# Rows landed below the bound cannot become more, nor can their spans.
TAKE_LANDINGS = """
delete from control.landing_traces as t using control.promotions as p
where p.promotion_id = %s and t.landed_xid < p.bound_xid
returning t.traceparent
"""
FORGET_LANDINGS = "delete from control.landing_traces where landed_at < clock_timestamp() - %s"

RECORD_SECONDS = """
update control.promotions set step_seconds = step_seconds || %(seconds)s where promotion_id = %(promotion)s
"""


@contextmanager
def promotion_span(connection: psycopg.Connection, taken_up: int | None) -> Iterator[None]:
    """The span of a promotion around the block; where one is taken up again, within the one that it began with."""
    earlier = connection.execute(SPAN, (taken_up,)).fetchall() if taken_up is not None else []
    with tracing.span_after([traceparent for (traceparent,) in earlier], "promotion", kind=SpanKind.INTERNAL):
        yield


@contextmanager
def known_as(connection: psycopg.Connection, promotion_id: int, *, is_new: bool) -> Iterator[None]:
    """Let log lines and the span tell which promotion it is; a new one links to what was landed for it."""
    tracing.annotate(promotion_id=promotion_id)
    traceparent = tracing.traceparent()
    if is_new and traceparent is not None:
        connection.execute(KEEP_SPAN, {"traceparent": traceparent, "promotion": promotion_id})
        tracing.link(landed_in for (landed_in,) in connection.execute(TAKE_LANDINGS, (promotion_id,)))
    with logs.bound(promotion_id=promotion_id):
        yield


def record_seconds(connection: psycopg.Connection, promotion_id: int, seconds: Mapping[str, float]) -> None:
    """Enter how long steps took, beside those of the processes before, and forget old spans of landings."""
    connection.execute(RECORD_SECONDS, {"seconds": Jsonb(dict(seconds)), "promotion": promotion_id})
    connection.execute(FORGET_LANDINGS, (KEPT,))
