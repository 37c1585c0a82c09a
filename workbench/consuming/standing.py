"""Where landing stands, for those who watch a consumer: read from the database and the broker, not from itself.

So the figures hold for the whole group, and go on when this process lands nothing.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import psycopg

from pipeline.core.clock import Clock, utc_now
from pipeline.core.database import Database, ServiceRole
from pipeline.core.errors import DatabaseUnavailable
from pipeline.core.settings import Settings
from pipeline.stream.looking import Extent, find_extents
from workbench.accounting.in_flight import StreamCounter
from workbench.accounting.ledger import LedgerHour, read_ledger
from workbench.accounting.stream import read_landed
from workbench.consuming.refreshed import Refreshed

LEDGER_SECONDS = 10.0
LAG_SECONDS = 2.0
MOST_COUNTED = 100_000
"""Records in flight that are read to be counted by tenant; where there are more, only their number is told."""

STRANGERS = "(unknown)"
"""All tenants that were never added: whoever writes to the topic could name as many as he likes."""

TENANTS = "select tenant_id from control.tenants"
OPEN_LETTERS = "select reason, count(*) from raw.dead_letters where resolved_at is null group by reason"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger of this hour and the one before, and the dead letters that are open, by reason."""

    hours: Sequence[LedgerHour]
    open_letters: Mapping[str, int]


class Standing:
    """Looks at most every few seconds, in threads of its own; answers with what is known by then."""

    def __init__(self, settings: Settings, database: Database, *, spool: Path, clock: Clock = utc_now) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._stream = StreamCounter(settings, spool=spool, most=MOST_COUNTED)
        self._landed: dict[int, int] = {}
        self._account = Refreshed(self._read_account, every_seconds=LEDGER_SECONDS)
        self._lag = Refreshed(self._read_lag, every_seconds=LAG_SECONDS)

    def account(self, *, patience: float) -> Account | None:
        """The account, or None where the database does not answer."""
        return self._account.value(patience=patience)

    def lag(self, *, patience: float) -> Mapping[int, int] | None:
        """Records behind, by partition of the topic; None where the broker does not answer.

        While the database is away, it is counted from what had landed when it was last asked.
        """
        return self._lag.value(patience=patience)

    @property
    def problem(self) -> str | None:
        """Why the lag is not known, if it was asked for and is not."""
        return self._lag.problem

    def _read_account(self) -> Account:
        since = self._clock() - timedelta(hours=1)
        ledger = read_ledger(self._database, since=since, stream=self._stream)
        with self._connect() as connection:
            letters: dict[str, int] = dict(connection.execute(OPEN_LETTERS).fetchall())
            known = {tenant_id for (tenant_id,) in connection.execute(TENANTS)}
        return Account(hours=without_strangers(ledger.hours, known), open_letters=letters)

    def _read_lag(self) -> dict[int, int]:
        try:
            with self._connect() as connection:
                self._landed = read_landed(connection, self._settings.kafka.topic)
        except (DatabaseUnavailable, psycopg.OperationalError):
            if not self._landed:
                raise
        return {
            partition: behind(extent, self._landed.get(partition))
            for partition, extent in asyncio.run(find_extents(self._settings)).items()
        }

    def _connect(self) -> psycopg.Connection:
        return self._database.connect(ServiceRole.STEWARD, autocommit=True, application="workbench_consumer_watch")


def behind(extent: Extent, landed: int | None) -> int:
    """Records of a partition that have not landed; those that were removed are not among them."""
    return extent.end - min(extent.end, max(extent.beginning, landed or 0))


def without_strangers(hours: Sequence[LedgerHour], known: Collection[str]) -> list[LedgerHour]:
    """The hours with all tenants that are not known as one."""
    kept = [row for row in hours if row.tenant_id in known]
    strangers: defaultdict[datetime, list[LedgerHour]] = defaultdict(list)
    for row in hours:
        if row.tenant_id not in known:
            strangers[row.hour].append(row)
    return kept + [_together(hour, rows) for hour, rows in strangers.items()]


def _together(hour: datetime, rows: Sequence[LedgerHour]) -> LedgerHour:
    in_flight = [row.in_flight for row in rows]
    return LedgerHour(
        tenant_id=STRANGERS,
        hour=hour,
        accepted=sum(row.accepted for row in rows),
        stored=sum(row.stored for row in rows),
        duplicate=sum(row.duplicate for row in rows),
        dead_lettered=sum(row.dead_lettered for row in rows),
        in_flight=None if None in in_flight else sum(events or 0 for events in in_flight),
    )
