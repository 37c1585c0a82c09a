"""The features page's figures by plain SQL on the marts, for every tenant of the real data; and the notebook itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.showcase import Showcase
from workbench.analysis import features
from workbench.analysis.periods import latest_day
from workbench.notebooks import features as notebook
from workbench.session import Workbench

NAMED = ("event_type", "adopters", "rate")
RANKING = """
select r.event_type, r.adopters, r.adoption_rate
from analytics.feature_ranking as r
"""
USED = """
with used as (
    select event_type, user_id, sum(events) filter (where active_on > %(since)s) as uses, max(active_on) as last_on
    from marts.fct_user_activity
    where tenant_id = %(tenant)s and active_on <= %(until)s
    group by event_type, user_id
)
select
    event_type,
    count(*),
    count(*) filter (where uses > 0),
    coalesce(sum(uses), 0)::bigint,
    (avg(uses) filter (where uses > 0))::float8,
    percentile_cont(0.5) within group (order by uses::float8) filter (where uses > 0),
    count(*) filter (where last_on <= %(since)s)
from used
group by event_type
"""
MONTHS = """
with months as (
    select date_trunc('month', active_on)::date as month, user_id, event_type
    from marts.fct_user_activity
    where tenant_id = %(tenant)s and active_on <= %(until)s
),
firsts as (
    select user_id, min(month) as month from months where event_type = %(feature)s group by user_id
)
select
    m.month,
    (select count(*) from firsts as f where f.month = m.month),
    (select count(*) from firsts as f where f.month <= m.month),
    count(distinct m.user_id) filter (where m.event_type = %(feature)s),
    count(distinct m.user_id)
from months as m
group by m.month
order by m.month
"""
STOPPED = """
select user_id, max(active_on), sum(events)::bigint, count(distinct active_on)
from marts.fct_user_activity
where tenant_id = %(tenant)s and event_type = %(feature)s and active_on <= %(until)s
group by user_id
having max(active_on) <= %(since)s
"""


@pytest.fixture(scope="module")
def marts(showcase: Showcase) -> Iterator[psycopg.Connection]:
    """The marts, past all that the notebooks read through."""
    with showcase.database.connect_admin() as connection:
        yield connection


def today(wb: Workbench) -> date:
    """The day that the tenant's page is shown of at first."""
    as_of, span = wb.freshness().as_of, features.span(wb.table("fct_user_activity"))
    assert isinstance(as_of, datetime)
    assert span is not None
    return latest_day(as_of, span.last_at)


def test_adopters_of_all_time_are_those_of_the_tenants_own_ranking(showcase: Showcase) -> None:
    for tenant in showcase.tenants:
        wb = showcase.workbench(tenant)
        ranked = features.ranking(wb.table("fct_user_activity"), until=date(9999, 1, 1), days=28)
        found = {
            name: (adopters, rate) for name, adopters, rate in ranked.select("event_type", "adopters", "rate").rows()
        }
        expected = {name: (adopters, pytest.approx(rate)) for name, adopters, rate in wb.sql(RANKING).rows()}
        assert found == expected, tenant


@pytest.mark.parametrize("days", [7, 28, 365])
def test_use_and_those_who_stopped_are_those_of_the_marts(
    showcase: Showcase, marts: psycopg.Connection, days: int
) -> None:
    for tenant in showcase.tenants:
        wb = showcase.workbench(tenant)
        until = today(wb)
        asked: dict[str, Any] = {"tenant": tenant, "until": until, "since": until - timedelta(days=days)}
        ranked = features.ranking(wb.table("fct_user_activity"), until=until, days=days)
        shown = ranked.select("event_type", "adopters", "users", "uses", "depth", "median_depth", "stopped")
        expected = {row[0]: row[1:] for row in marts.execute(USED, asked)}
        assert {row[0]: row[1:] for row in shown.rows()} == {
            name: (*row[:3], _near(row[3]), _near(row[4]), row[5]) for name, row in expected.items()
        }, tenant
        for feature in ranked["event_type"]:
            gone = features.stopped(wb.table("fct_user_activity"), feature, until=until, days=days)
            rows = marts.execute(STOPPED, asked | {"feature": feature}).fetchall()
            assert sorted(gone.select("user_id", "last_used_on", "uses", "active_days").rows()) == sorted(rows), tenant
            depths = features.depths(wb.table("fct_user_activity"), feature, until=until, days=days)
            assert depths["users"].sum() == expected[feature][1], (tenant, feature)


def test_adoption_is_that_of_the_mart_month_by_month(showcase: Showcase, marts: psycopg.Connection) -> None:
    for tenant in showcase.tenants:
        wb = showcase.workbench(tenant)
        until, span = today(wb), features.span(wb.table("fct_user_activity"))
        assert span is not None
        for feature in span.event_types[:2]:
            steps = features.adoption(wb.table("fct_user_activity"), feature, until=until, step="month")
            shown = steps.select("starts_on", "new_adopters", "adopters", "users", "active").rows()
            rows = marts.execute(MONTHS, {"tenant": tenant, "feature": feature, "until": until}).fetchall()
            # The mart has no row for a month in which nobody did anything.
            assert [row for row in shown if row[4]] == [row for row in rows if row[0] >= shown[0][0]], (tenant, feature)


def test_the_notebook_runs_for_every_tenant_and_shows_the_figures(showcase: Showcase) -> None:
    for tenant in showcase.tenants:
        wb = showcase.workbench(tenant)
        outputs, _ = notebook.app.run(defs={"wb": wb})
        page = "".join(output.text for output in outputs if output is not None)
        ranked = features.ranking(wb.table("fct_user_activity"), until=today(wb), days=28)
        for name, adopters in ranked.select("event_type", "adopters").iter_rows():
            assert f'<th scope="row">{name}</th><td class="wb-count">{adopters:,}</td>' in page, tenant
        assert "Users who stopped" in page


@pytest.mark.parametrize("which", ["empty", "held"])
def test_the_notebook_says_so_where_nothing_is_published(showcase: Showcase, which: str) -> None:
    outputs, _ = notebook.app.run(defs={"wb": showcase.workbench(getattr(showcase, which))})
    page = "".join(output.text for output in outputs if output is not None)
    assert "Waiting for the first events" in page
    assert "wb-tiles" not in page


def _near(value: float | None) -> Any:
    return None if value is None else pytest.approx(value)
