"""Landing: batches of events, or records of a stream, become durable, each in one transaction.

What happens inside the transaction is in `batch.py`, how it is run in `session.py`. No fate is told
before the commit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import psycopg

from pipeline.core import audit
from pipeline.core.events import Event, Landed
from pipeline.land import arrivals, offsets
from pipeline.land.batch import land_batch, land_delivery
from pipeline.land.habits import Habits
from pipeline.land.noting import SpanNotes
from pipeline.land.rereading import land_again
from pipeline.land.session import LandingSession
from pipeline.stream.delivery import Delivery, Move, Settled

Connect = Callable[[], psycopg.Connection]


class Lander:
    """Lands batches of events, one at a time: it belongs to one thread.

    `connect` is as for LandingSession. Several landers may land the same events at the same time.
    """

    def __init__(self, connect: Connect) -> None:
        self._session = LandingSession(connect)
        self._habits = Habits()
        self._notes = SpanNotes()

    def land(self, events: Sequence[Event]) -> list[Landed]:
        """The fates of the events, in their order, durable when this returns.

        Of several events with the same tenant and id the first is stored, here or in an earlier
        batch; an equal one is a duplicate, another payload a conflict. Raises DatabaseUnavailable,
        then the batch is stored as a whole or not at all, and handing it over again is safe.
        """
        if not events:
            return []

        def land(connection: psycopg.Connection) -> list[Landed]:
            self._notes.add(connection)
            return land_batch(connection, events, self._habits)

        return self._session.run(land)

    def close(self) -> None:
        """Let go of the connection; the next batch would open another."""
        self._session.close()


class StreamLander:
    """Lands deliveries of a stream (`pipeline.stream.delivery.Landing`); it belongs to one thread."""

    def __init__(self, connect: Connect) -> None:
        self._session = LandingSession(connect)
        self._habits = Habits()
        self._notes = SpanNotes()

    def find_offsets(self, topic: str, beginnings: Mapping[int, int]) -> dict[int, int]:
        """See `Landing.find_offsets`."""

        def find(connection: psycopg.Connection) -> dict[int, int]:
            # Whose partitions these were may have been stopped.
            arrivals.end_stopped(connection)
            return offsets.begin(connection, topic, beginnings)

        return self._session.run(find)

    def find_marks(self, topic: str) -> dict[int, int]:
        """See `Landing.find_marks`."""
        return self._session.run(lambda connection: offsets.find_marks(connection, topic))

    def restart(self, topic: str, moves: Mapping[int, Move]) -> None:
        """See `Landing.restart`."""
        self._session.run(lambda connection: offsets.restart(connection, topic, moves))

    def land(self, delivery: Delivery) -> Settled:
        """See `Landing.land`."""

        def land(connection: psycopg.Connection) -> Settled:
            self._notes.add(connection)
            return land_delivery(connection, delivery, self._habits)

        return self._session.run(land)

    def land_again(self, delivery: Delivery) -> Settled:
        """Land records that have landed before; see `rereading.py`. Raises DatabaseUnavailable.

        Raises StreamError where some of them have not landed yet.
        """
        return self._session.run(lambda connection: land_again(connection, delivery, self._habits))

    def record_replay(self, *, actor: str, details: Mapping[str, object]) -> None:
        """Note in the audit log that somebody had records landed again. Raises DatabaseUnavailable."""
        self._session.run(
            lambda connection: audit.record(connection, actor=actor, action="replay stream", details=details)
        )

    def close(self) -> None:
        """Let go of the connection; the next delivery would open another."""
        self._session.close()
