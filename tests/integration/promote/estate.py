"""All marts with a promoter that is quick: what dbt compiled once is run again by itself, without dbt.

The SQL is dbt's own, of the real models, so a promotion costs a tenth of a second instead of two. For
tests that need many promotions; those that concern dbt itself take `World`.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from pipeline.core.clock import utc_now
from pipeline.core.database import Database, ServiceRole, database_name
from pipeline.core.verdicts import Gate
from pipeline.promote.marts import models_fingerprint, read_marts
from pipeline.promote.promoter import Promoter
from pipeline.promote.retention import Keeper
from pipeline.promote.steps import Tell
from tests.conftest import DBT_DIR
from tests.integration.promote import oracle
from tests.integration.promote.world import World, wait_until

Event = dict[str, Any]
MARTS = read_marts(DBT_DIR)
NAMES = tuple(mart.name for mart in MARTS)

LAND = """
insert into raw.usage_events
    (tenant_id, event_id, event_type, occurred_at, received_at, user_id, session_id, properties, payload_hash)
select tenant_id, event_id, event_type, occurred_at, received_at, user_id, session_id, properties, ''
from jsonb_to_recordset(%s) as e (
    tenant_id text, event_id uuid, event_type text, occurred_at timestamptz, received_at timestamptz,
    user_id text, session_id text, properties jsonb
)
"""
NOTE_LANDINGS = """
insert into control.landing_progress select tenant_id, pg_current_xact_id() from unnest(%s::text[]) as tenant_id
on conflict (tenant_id) do update set landed_xid = excluded.landed_xid
"""
IS_BELOW_THE_BOUND = """
select coalesce(max(landed_xid) < pg_snapshot_xmin(pg_current_snapshot()), true) from control.landing_progress
"""


@dataclass(frozen=True)
class Compiled:
    """The models as dbt ran them on some database, in the order of their dependencies."""

    database: str
    views: tuple[str, ...]
    tables: tuple[tuple[str, str], ...]
    """Relation, and the statements that create and fill it."""

    def builder(self, database: Database) -> CompiledBuilder:
        """A builder of these models in another database."""
        own = f'"{database_name(database.admin_url)}"'
        there = f'"{self.database}"'
        return CompiledBuilder(
            database,
            views=[view.replace(there, own) for view in self.views],
            tables=[(name.replace(there, own), statement.replace(there, own)) for name, statement in self.tables],
        )


class CompiledBuilder:
    """Stands in for `pipeline.promote.build.Builder`."""

    def __init__(self, database: Database, *, views: Sequence[str], tables: Sequence[tuple[str, str]]) -> None:
        self._database = database
        self._views = views
        self._tables = tables

    def build(self, *, models_fingerprint: str) -> None:
        """Build every candidate, as the transformer."""
        del models_fingerprint
        with self._database.connect(ServiceRole.TRANSFORMER, autocommit=True) as connection:
            for name, _ in reversed(self._tables):
                connection.execute(f"drop table if exists {name}")
            for view in self._views:
                connection.execute(view)
            for _, statements in self._tables:
                connection.execute(statements)


def compile_models(database: Database, folder: Path) -> Compiled:
    """Promote one event with dbt, and keep what it ran."""
    world = World(database=database, dbt_dir=DBT_DIR)
    world.tenants("compiled")
    world.land("compiled", 1)
    Promoter(database, world.gate, DBT_DIR, utc_now, parsed_dir=folder).promote()
    views, tables = [], []
    waiting = {path.stem: path.read_text() for path in (folder / "run").rglob("*.sql")}
    while waiting:
        ready = [name for name, text in waiting.items() if not _reads(text) & set(waiting)]
        assert ready, f"the models read each other: {waiting.keys()}"
        for name in sorted(ready):
            text = waiting.pop(name).replace(f'"{name}__dbt_tmp"', f'"{name}"')
            if found := re.search(r"create unlogged table\s+(\S+)", text):
                tables.append((found[1], text))
            else:
                views.append(text.replace("create view", "create or replace view"))
    return Compiled(database=database_name(database.admin_url), views=tuple(views), tables=tuple(tables))


@dataclass(kw_only=True)
class Estate:
    """A database with all marts, and the events that were landed in it."""

    database: Database
    compiled: Compiled
    gate: Gate
    dbt_dir: Path = DBT_DIR
    landed: list[Event] = dataclasses.field(default_factory=list)

    def promoter(
        self,
        *,
        gate: Gate | None = None,
        dbt_dir: Path | None = None,
        reached: Tell = lambda _: None,
        keeper: Keeper = Keeper(),  # noqa: B008 - a frozen value
        wait_seconds: float = 30,
        clock: Callable[[], datetime] = utc_now,
    ) -> Promoter:
        """A promoter of this database; several may be at work on it."""
        promoter = Promoter(
            self.database,
            gate or self.gate,
            dbt_dir or self.dbt_dir,
            clock,
            wait_seconds=wait_seconds,
            keeper=keeper,
            reached=reached,
        )
        promoter._builder = self.compiled.builder(self.database)  # type: ignore[assignment]
        return promoter

    def tenants(self, *names: str) -> None:
        """Add tenants that nobody logs in as: a role for each would be most of the work."""
        with self.admin() as connection:
            connection.execute(
                "insert into control.tenants (tenant_id, display_name, created_at) "
                "select t, 'The ' || t, '2020-01-01' from unnest(%s::text[]) as t",
                (list(names),),
            )

    def land(self, *events: Event) -> None:
        """Land events in one transaction, fit to be promoted by the next promotion."""
        rows = [{**event, "properties": event.get("properties", {})} for event in events]
        with self.database.connect(ServiceRole.LANDER) as connection:
            connection.execute(LAND, (Jsonb(rows, dumps=_dumps),))
            connection.execute(NOTE_LANDINGS, (sorted({event["tenant_id"] for event in events}),))
        self.landed += events
        wait_until(lambda: self.value(IS_BELOW_THE_BOUND))

    def admin(self) -> AbstractContextManager[psycopg.Connection]:
        """A connection that may do anything; it commits when it is left."""
        return self.database.connect_admin()

    def value(self, query: str, *values: object) -> Any:
        """The first column of a query's first row, as the administrator."""
        row = next(iter(self.rows(query, *values)), None)
        return None if row is None else row[0]

    def rows(self, query: str | sql.Composed, *values: object) -> list[tuple[Any, ...]]:
        """A query's rows, as the administrator."""
        with self.admin() as connection:
            return connection.execute(query, values).fetchall()

    def hashes(self) -> dict[tuple[str, str], str]:
        """Tenant and mart -> a hash over its rows there, byte for byte; those without rows are not in it."""
        return {(tenant, mart): content for tenant, mart, content in self.rows(HASHES)}

    def journals_of_nothing(self) -> list[tuple[Any, ...]]:
        """Mart, tenant and promotion of journal rows of what is not published: there must be none."""
        return self.rows(LEFT_IN_JOURNAL)

    def published(self) -> dict[str, list[tuple[Any, ...]]]:
        """Mart -> its rows, in the order of the columns in the ymls, sorted."""
        tables = {}
        with self.admin() as connection:
            for mart in MARTS:
                columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in mart.columns)
                rows = connection.execute(
                    sql.SQL("select {} from {}").format(columns, sql.Identifier("marts", mart.name))
                )
                tables[mart.name] = sorted(rows.fetchall(), key=repr)
        return tables

    def expect_published(self, events: Iterable[Event]) -> None:
        """Fail unless every mart is what plain Python makes of exactly these events."""
        events = list(events)
        names = {event["tenant_id"]: f"The {event['tenant_id']}" for event in events}
        expected = oracle.marts([{**event, "properties": {}} for event in events], names)
        for name, rows in self.published().items():
            if name == "fct_usage_events":
                rows = [(*row[:-1], {}) for row in rows]
            assert rows == expected[name], f"marts.{name} is not what the events say"


HASHES = sql.SQL(" union all ").join(
    sql.SQL("select tenant_id, {}, md5(string_agg(m::text, ',' order by m::text)) from {} as m group by 1").format(
        sql.Literal(name), sql.Identifier("marts", name)
    )
    for name in NAMES
)


LEFT_IN_JOURNAL = sql.SQL(" union all ").join(
    sql.SQL(
        "select {} as mart, j.tenant_id, j.promotion_id from {} as j where not exists (select "
        "from control.promotion_tenants as t where t.tenant_id = j.tenant_id and t.promotion_id = j.promotion_id "
        "and t.promoted and t.undone_at is null)"
    ).format(sql.Literal(name), sql.Identifier("journal", name))
    for name in NAMES
)


def event(tenant: str, at: datetime, **fields: Any) -> Event:
    """An event that every rule lets pass unless the fields say otherwise."""
    return {
        "tenant_id": tenant,
        "event_id": uuid.uuid4(),
        "event_type": "page_view",
        "occurred_at": at,
        "received_at": at + timedelta(seconds=1),
        "user_id": "ann",
        "session_id": None,
        **fields,
    }


def copy_models(folder: Path, note: str) -> Path:
    """The models with another fingerprint, as after a deployment."""
    shutil.copytree(DBT_DIR, folder)
    with (folder / "models/marts/dim_users.sql").open("a") as model:
        model.write(f"\n-- {note}\n")
    assert models_fingerprint(folder) != models_fingerprint(DBT_DIR)
    return folder


def _reads(text: str) -> set[str]:
    """The models that a model reads; a mart of the same name, which is published, is none."""
    return set(re.findall(r'"(?:staging|intermediate|candidate)"\."(\w+)"', text))


def _dumps(value: object) -> str:
    return json.dumps(value, default=lambda part: part.isoformat() if isinstance(part, datetime) else str(part))


AROUND = datetime(2026, 3, 1, 20, tzinfo=UTC)
"""A Sunday evening: days, ISO weeks and months all change within the next hours."""
