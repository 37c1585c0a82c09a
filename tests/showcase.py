"""The real data set, promoted once for all tests of a process: what notebooks and reports are tested on.

It is landed and promoted by the product's own code, so that ledgers, verdicts and holds are there too.
Tests read; one that changes the data takes a database of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from uuid_utils.compat import uuid7

from pipeline.core.clock import utc_now
from pipeline.core.database import Database, ServiceRole, connect
from pipeline.core.events import Event, decode_event
from pipeline.core.settings import IngestLimits, Settings
from pipeline.core.tenants import add_tenant
from pipeline.land.landing import Lander
from tests.conftest import DBT_DIR, deployed
from tests.integration.promote.world import wait_until
from workbench.cli.promote import build_promoter
from workbench.demonstration import DIRTY_TENANT, activity, add_dirty_tenant, with_dirty_tenant
from workbench.importing.lines import Line, read_lines
from workbench.session import Workbench, open_workbench
from workbench.session.pool import Pool

ACTIVITY = DBT_DIR.parent / "examples" / "activity.ndjson.gz"
EMPTY_TENANT = "empty"
BATCH = 10_000
IS_BELOW_THE_BOUND = """
select coalesce(max(landed_xid) < pg_snapshot_xmin(pg_current_snapshot()), true) from control.landing_progress
"""


@dataclass(frozen=True, kw_only=True)
class Showcase:
    """A promoted deployment, and its tenants' workbenches."""

    database: Database
    tenants: list[str]
    """Those with published data, by id."""
    cache_dir: Path
    held: str = DIRTY_TENANT
    """A tenant all of whose data is held: its clock is days ahead."""
    empty: str = EMPTY_TENANT
    """A tenant that never sent anything."""
    pool: Pool = field(default_factory=Pool)
    _opened: dict[str, Workbench] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def workbench(self, tenant_id: str) -> Workbench:
        """The tenant's workbench; all tests share it, and it is closed in the end."""
        with self._lock:
            if tenant_id not in self._opened:
                self._opened[tenant_id] = open_workbench(
                    self.database, tenant_id, cache_dir=self.cache_dir, pool=self.pool
                )
            return self._opened[tenant_id]

    def close(self) -> None:
        """Close what was opened."""
        for each in self._opened.values():
            each.close()
        self.pool.close()


@pytest.fixture(scope="session")
def showcase(cluster: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Showcase]:
    """25 tenants with 132,748 events, one held tenant, and one without data."""
    home = tmp_path_factory.mktemp("showcase")
    with deployed(cluster, template) as database:
        tenants = _land(database)
        settings = Settings.from_environment({"WORKBENCH_HOME": str(home)})
        promotion = build_promoter(database, settings, parsed_dir=home / "dbt").promote(asked_by="tests")
        assert (set(promotion.promoted), set(promotion.held)) == (set(tenants), {DIRTY_TENANT})
        found = Showcase(database=database, tenants=tenants, cache_dir=home / "extracts")
        yield found
        found.close()


def _land(database: Database) -> list[str]:
    """Land the export, the dirty tenant's events, and nothing of the empty one; answers who has good data."""
    dataset = activity(ACTIVITY)
    for tenant_id in (*dataset.sent, EMPTY_TENANT):
        add_tenant(database, tenant_id)
    lines = with_dirty_tenant(dataset, add_dirty_tenant(database)).lines
    lander = Lander(lambda: database.connect(ServiceRole.LANDER))
    batch: list[Event] = []
    for line in read_lines(lines, tenant_field="tenant_id", new_id=uuid7):
        assert isinstance(line, Line)
        batch.append(_event(line))
        if len(batch) == BATCH:
            lander.land(batch)
            batch.clear()
    lander.land(batch)
    lander.close()
    wait_until(lambda: _is_below_the_bound(database))
    return sorted(dataset.sent)


def _event(line: Line) -> Event:
    return decode_event(
        line.event,
        tenant_id=line.tenant_id,
        received_at=utc_now(),
        limits=IngestLimits(),
        allowed_types=None,
        new_id=uuid7,
    )


def _is_below_the_bound(database: Database) -> bool:
    with connect(database.admin_url, application="tests") as connection:
        row = connection.execute(IS_BELOW_THE_BOUND).fetchone()
    return row is not None and bool(row[0])
