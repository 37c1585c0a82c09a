"""The models, built by dbt window after window, against an independent recomputation over all events."""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg
import pytest
from dbt.cli.main import dbtRunner
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from pipeline.core.database import Database, ServiceRole
from pipeline.promote.build import VARIABLES, Builder
from pipeline.promote.marts import read_marts
from tests.conftest import DBT_DIR
from tests.integration.promote import oracle
from tests.integration.promote.building import land, plan, publish

NAMES = {"acme": "Acme Inc.", "globex": "Globex", "initech": "Initech"}
# Sunday: days, ISO weeks and months all change within the next hours.
AROUND = datetime(2026, 3, 1, 20, tzinfo=UTC)
Event = dict[str, Any]


@pytest.fixture
def connection(database: Database, new_tenant: Callable[..., str]) -> Iterator[psycopg.Connection]:
    for tenant_id, name in NAMES.items():
        new_tenant(tenant_id, display_name=name)
    with database.connect_admin() as connection:
        yield connection


def random_events(chance: random.Random, count: int) -> list[Event]:
    """Few users, sessions and hours, the same in every tenant, so that windows collide in every key."""
    events = []
    for _ in range(count):
        occurred = AROUND + timedelta(minutes=15 * chance.randrange(-500, 500))
        fields: Event = {
            "tenant_id": chance.choice(list(NAMES)),
            "event_id": uuid.UUID(int=chance.getrandbits(128)),
            "event_type": chance.choice(["page_view", "api_call", "report.exported"]),
            "occurred_at": occurred,
            "received_at": occurred + timedelta(milliseconds=chance.randrange(-2000, 900_000)),
            "user_id": chance.choice([None, "Zoe", "ann", "Élodie", *map(str, range(12))]),
            "session_id": chance.choice([None, *(f"s{n}" for n in range(60))]),
        }
        events.append(fields)
    return events


def published(connection: psycopg.Connection, schema: str = "marts") -> dict[str, list[tuple[Any, ...]]]:
    tables = {}
    for mart in read_marts(DBT_DIR):
        columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in mart.columns)
        rows = connection.execute(sql.SQL("select {} from {}").format(columns, sql.Identifier(schema, mart.name)))
        tables[mart.name] = sorted(rows.fetchall(), key=repr)
    connection.commit()
    return tables


@pytest.mark.long
def test_windows_add_up_to_what_all_events_say(database: Database, connection: psycopg.Connection) -> None:
    """Three tenants, four windows: all; without initech (held); all, late events among them; and one in
    which the published rows of globex are wrong and it alone is refreshed in full."""
    chance = random.Random(20260301)
    builder = Builder(DBT_DIR, database.url(ServiceRole.TRANSFORMER))
    waiting: list[Event] = []
    done: list[Event] = []
    windows: list[dict[str, bool]] = [
        dict.fromkeys(NAMES, False),
        {"acme": False, "globex": False},
        dict.fromkeys(NAMES, False),
        {"acme": False, "globex": True},
    ]
    for number, tenants in enumerate(windows):
        batch = random_events(chance, 300)
        land(connection, batch)
        if True in tenants.values():
            connection.execute("update marts.dim_users set events = 999999 where tenant_id = 'globex'")
            connection.execute("insert into marts.dim_users (tenant_id, user_id) values ('globex', 'ghost')")
        plan(connection, tenants)
        land(connection, random_events(random.Random(number), 20))  # above the bound: not of this window

        builder.build(models_fingerprint="")
        new = [event for event in waiting + batch if event["tenant_id"] in tenants]
        restated = done if True in tenants.values() else []
        assert_only_touched_keys(connection, new, [e for e in restated if tenants.get(e["tenant_id"])])
        publish(connection)

        waiting = [event for event in waiting + batch if event not in new]
        done += new
        waiting += random_events(random.Random(number), 20)
        expected = oracle.marts(done, NAMES)
        for name, rows in published(connection).items():
            assert rows == expected[name], f"marts.{name} after window {number + 1}"


def assert_only_touched_keys(connection: psycopg.Connection, new: list[Event], restated: list[Event]) -> None:
    touched = oracle.marts(new + restated, NAMES)
    candidates = published(connection, "candidate")
    for mart in read_marts(DBT_DIR):
        width = len(mart.key)
        assert {row[:width] for row in candidates[mart.name]} == {row[:width] for row in touched[mart.name]}, mart.name


def test_dbts_own_unit_tests_pass(database: Database, tmp_path: Path) -> None:
    url = database.url(ServiceRole.TRANSFORMER)
    # They ask the database for the columns of their inputs.
    Builder(DBT_DIR, url, parsed_dir=tmp_path).build(models_fingerprint="")

    given = conninfo_to_dict(url)
    environment = {variable: str(given[name]) for name, variable in VARIABLES.items() if given.get(name)}
    places = ["--project-dir", str(DBT_DIR), "--profiles-dir", str(DBT_DIR)]
    places += ["--target-path", str(tmp_path), "--log-path", str(tmp_path), "--quiet"]
    with mock.patch.dict(os.environ, environment):
        outcome = dbtRunner().invoke(["test", "--select", "test_type:unit", *places])
    results = {result.node.name: (result.status, result.message) for result in outcome.result}
    assert len(results) >= 13
    assert {name: told for name, told in results.items() if told[0] != "pass"} == {}
