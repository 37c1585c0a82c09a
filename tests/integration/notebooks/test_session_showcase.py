"""The real data set through `Workbench`: what it says is what the marts hold, for every tenant and table."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import polars as pl
import pytest
from psycopg import sql

from pipeline.core.tenants import tenant_url
from tests.conftest import DBT_DIR
from tests.showcase import Showcase
from workbench.session.opening import TENANT_URL

HOW_TO = DBT_DIR.parent / "docs" / "analysts-python.md"

FACTS = ("fct_usage_events", "fct_user_activity", "tenant_usage_metrics", "active_users", "dim_users", "dim_tenants")


@pytest.mark.parametrize("table", FACTS)
def test_every_tenant_reads_exactly_its_rows_of_the_marts_by_each_way(showcase: Showcase, table: str) -> None:
    counts = _counts(showcase, table)
    assert len(counts) == len(showcase.tenants) == 25
    for tenant in showcase.tenants:
        wb = showcase.workbench(tenant)
        ways = {
            "sql": wb.sql(f"table {table}").height,
            "table": wb.table(table).select(pl.len()).collect().item(),
            "duckdb": wb.duckdb([table]).view(table).aggregate("count(*)").fetchall()[0][0],
        }
        assert set(ways.values()) == {counts[tenant]}, (tenant, ways)


def test_sums_by_day_agree_between_the_facts_of_a_tenant_and_the_marts(showcase: Showcase) -> None:
    with showcase.database.connect_admin() as admin:
        found = admin.execute("select tenant_id, occurred_on, count(*) from marts.fct_usage_events group by 1, 2")
        expected = {(tenant, day): events for tenant, day, events in found}
    seen: dict[tuple[str, date], int] = {}
    for tenant in showcase.tenants:
        days = showcase.workbench(tenant).table("fct_usage_events").group_by("occurred_on").len().collect()
        seen |= {(tenant, day): events for day, events in days.rows()}
    assert seen == expected


def test_a_held_tenant_and_an_empty_one_have_their_tables_without_rows(showcase: Showcase) -> None:
    held, empty = showcase.workbench(showcase.held), showcase.workbench(showcase.empty)
    assert held.freshness().held
    assert held.freshness().held_since is not None
    assert not empty.freshness().held
    assert empty.freshness().promotion_id is None
    for wb in (held, empty):
        events = wb.table("fct_usage_events").collect()
        assert events.is_empty()
        assert events.schema["occurred_at"] == pl.Datetime("us", "UTC")
        assert events.schema["event_id"] == events.schema["properties"] == pl.String
        assert wb.tables()["table"].n_unique() == 10


def test_the_catalog_tells_every_column_with_a_description(showcase: Showcase) -> None:
    tables = showcase.workbench(showcase.tenants[0]).tables()
    assert tables.columns == ["table", "column", "type", "description"]
    assert "tenant_id" not in tables["column"].to_list()
    assert not tables.filter(pl.col("description") == "").rows()


def test_the_how_to_for_analysts_runs_as_it_stands(showcase: Showcase, monkeypatch: pytest.MonkeyPatch) -> None:
    address = tenant_url(showcase.database, showcase.tenants[0])
    monkeypatch.setenv(TENANT_URL, address)
    monkeypatch.setenv("XDG_CACHE_HOME", str(showcase.cache_dir.parent))
    blocks = re.findall(r"^```python\n(.*?)^```", HOW_TO.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 4
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(HOW_TO), "exec"), names)
    assert names["reading"].cancelled
    names["wb"].close()


def _counts(showcase: Showcase, table: str) -> dict[str, int]:
    query = sql.SQL("select tenant_id, count(*) from {} group by 1").format(sql.Identifier("marts", table))
    with showcase.database.connect_admin() as admin:
        return dict(admin.execute(query).fetchall())
