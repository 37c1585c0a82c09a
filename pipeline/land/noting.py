"""Noting the span of a landing beside what it landed, so that the promotion that takes it up can link to it.

Where nothing is traced, nothing is noted. A promotion links to so many spans at most: one a second of
each process is more than that, and bounds what is written.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg

from pipeline.core import tracing

SECONDS_BETWEEN_NOTES = 1.0
# A transaction whose outcome was in doubt is run again within the same span. An error of the insertion
# would fail the landing: the lander may insert, and reads nothing here.
NOTE = "insert into control.landing_traces (traceparent) values (%s) on conflict do nothing"


class SpanNotes:
    """One session's."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._noted_at = float("-inf")

    def add(self, connection: psycopg.Connection) -> None:
        """Note the span under way, in the landing's own transaction."""
        traceparent = tracing.traceparent()
        if traceparent is None or self._clock() - self._noted_at < SECONDS_BETWEEN_NOTES:
            return
        connection.execute(NOTE, (traceparent,))
        self._noted_at = self._clock()
