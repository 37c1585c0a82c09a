"""A deployed database with a promoter on it, and the words in which tests of promotions are told."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from pipeline.core.clock import utc_now
from pipeline.core.database import Database, ServiceRole
from pipeline.core.tenants import add_tenant
from pipeline.core.verdicts import Finding, Report, VerdictState
from pipeline.promote.promoter import Promoter

DBT_DIR = Path(__file__).parents[3] / "dbt"
MARTS = ("fct_usage_events", "fct_user_activity", "tenant_usage_metrics")
MODELS = (
    "staging/*",
    "intermediate/int_usage_events.*",
    "intermediate/int_user_activity.*",
    *(f"m*/{mart}.*" for mart in MARTS),
)

INSERT_EVENTS = """
insert into raw.usage_events
    (tenant_id, event_id, event_type, occurred_at, received_at, user_id, session_id, properties, payload_hash)
select
    %(tenant)s,
    gen_random_uuid(),
    (array['page_view', 'api_call'])[1 + i %% 2],
    now() - make_interval(hours => i %% 48),
    now(),
    'u' || i %% 7,
    's' || i %% 11,
    jsonb_build_object('n', i),
    ''
from generate_series(1, %(count)s) as i
"""
NOTE_LANDING = """
insert into control.landing_progress values (%(tenant)s, pg_current_xact_id())
on conflict (tenant_id) do update set landed_xid = greatest(landing_progress.landed_xid, excluded.landed_xid)
"""
# Until then some other transaction that began earlier, an autovacuum's perhaps, holds the bound back.
IS_BELOW_THE_BOUND = """
select landed_xid < pg_snapshot_xmin(pg_current_snapshot()) from control.landing_progress where tenant_id = %s
"""


class ScriptedGate:
    """Passes every tenant, but for those that a test scripts; None leaves a tenant out of the report."""

    def __init__(self) -> None:
        self.states: dict[str, VerdictState | None] = {}
        self.rule = "clock_ahead"
        self.while_judging: Callable[[], object] = lambda: None
        self.asked: tuple[int, tuple[str, ...]] | None = None

    @property
    def fingerprint(self) -> str:
        """Another script is another rule."""
        return repr(sorted(self.states.items()))

    def judge(self, *, promotion_id: int, tenants: Mapping[str, int], models: Sequence[str]) -> Report:
        """The script's verdicts, with a finding for each tenant that failed."""
        self.asked = (promotion_id, tuple(models))
        self.while_judging()
        states = {tenant: self.states.get(tenant, VerdictState.PASSED) for tenant in tenants}
        verdicts = {tenant: state for tenant, state in states.items() if state is not None}
        failed = [tenant for tenant, state in verdicts.items() if state is VerdictState.FAILED]
        return Report(verdicts=verdicts, findings=tuple(finding(tenant, self.rule) for tenant in failed))


def finding(tenant_id: str, rule: str = "clock_ahead") -> Finding:
    """A stop rule that failed."""
    return Finding(
        tenant_id=tenant_id,
        boundary="raw_to_facts",
        rule=rule,
        severity="stop",
        outcome="failed",
        failing_rows=3,
        detail="3 events from the future",
        samples=({"event_id": "e1", "at": utc_now()},),
    )


@dataclass(kw_only=True)
class World:
    """What a test acts on. Tenants are the test's own, so that tests may share a world."""

    database: Database
    dbt_dir: Path
    gate: ScriptedGate = field(default_factory=ScriptedGate)
    new_builder: Callable[[], Any] | None = None
    """What builds candidates in place of dbt; None is dbt, which other models always get."""

    def __post_init__(self) -> None:
        self.promoter = self.new_promoter()
        self.promote = self.promoter.promote

    def new_promoter(self, *, wait_seconds: float = 20, dbt_dir: Path | None = None) -> Promoter:
        """Another promoter on the same database, as another process would have."""
        promoter = Promoter(self.database, self.gate, dbt_dir or self.dbt_dir, utc_now, wait_seconds=wait_seconds)
        if self.new_builder is not None and dbt_dir is None:
            promoter._builder = self.new_builder()
        return promoter

    def tenants(self, *names: str) -> None:
        """Add tenants."""
        for name in names:
            add_tenant(self.database, name)

    def land(self, tenant: str, count: int) -> None:
        """Land so many events of a tenant in one transaction, fit to be promoted by the next promotion."""
        with self.lander() as connection:
            land(connection, tenant, count)
        wait_until(lambda: self.value(IS_BELOW_THE_BOUND, tenant))

    def lander(self) -> psycopg.Connection:
        """A connection that lands."""
        return self.database.connect(ServiceRole.LANDER)

    def admin(self) -> AbstractContextManager[psycopg.Connection]:
        """A connection that may do anything; it commits when it is left."""
        return self.database.connect_admin()

    def value(self, query: str, *values: object) -> Any:
        """The first column of a query's only row, as the administrator."""
        with self.admin() as connection:
            row = connection.execute(query, values).fetchone()
        return None if row is None else row[0]

    def facts(self, tenant: str) -> int:
        """How many events of the tenant are published."""
        return int(self.value("select count(*) from marts.fct_usage_events where tenant_id = %s", tenant))

    def contents(self, tenant: str) -> dict[str, str]:
        """A hash over all rows of the tenant in each mart."""
        query = sql.SQL("select md5(string_agg(m::text, ',' order by m::text)) from {} as m where tenant_id = %s")
        with self.admin() as connection:
            rows = {mart: connection.execute(query.format(sql.Identifier("marts", mart)), (tenant,)) for mart in MARTS}
            return {mart: row.fetchall()[0][0] for mart, row in rows.items()}

    def promotion(self, promotion_id: int) -> tuple[str, str]:
        """State and error in the ledger."""
        with self.admin() as connection:
            row = connection.execute(
                "select state, coalesce(error, '') from control.promotions where promotion_id = %s", (promotion_id,)
            ).fetchone()
        assert row is not None
        return row[0], row[1]

    def last_promotion(self) -> int:
        """The newest promotion in the ledger."""
        return int(self.value("select coalesce(max(promotion_id), 0) from control.promotions"))


def land(connection: psycopg.Connection, tenant: str, count: int) -> None:
    """Land in the connection's open transaction."""
    insert_events(connection, tenant, count)
    note_landing(connection, tenant)


def insert_events(connection: psycopg.Connection, tenant: str, count: int) -> None:
    """The first half of a landing."""
    connection.execute(INSERT_EVENTS, {"tenant": tenant, "count": count})


def note_landing(connection: psycopg.Connection, tenant: str) -> None:
    """The second half; two landings of one tenant take turns from here to their commits."""
    connection.execute(NOTE_LANDING, {"tenant": tenant})


def copy_models(folder: Path) -> Path:
    """A part of the dbt project that builds three marts: much faster, and real."""
    copied = folder / "dbt"
    for pattern in ("*.yml", "macros/*", "cache/*", *(f"models/{pattern}" for pattern in MODELS)):
        for source in DBT_DIR.glob(pattern):
            target = copied / source.relative_to(DBT_DIR)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    return copied


def wait_until(condition: Callable[[], object], *, seconds: float = 20) -> None:
    """Return when the condition holds; fail if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
