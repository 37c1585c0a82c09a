"""The overview's figures by plain SQL on the marts, for every tenant of the real data; and the notebook itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
import psycopg
import pytest

from tests.showcase import Showcase
from workbench.analysis import overview
from workbench.analysis.overview import Selection
from workbench.analysis.periods import KINDS, Calendar, Kind, latest_day, window
from workbench.notebooks import overview as notebook
from workbench.session import Workbench

TOTALS = """
select
    count(*),
    count(distinct e.user_id),
    count(distinct e.session_id)
from marts.fct_usage_events as e
left join marts.dim_users as u on e.tenant_id = u.tenant_id and e.user_id = u.user_id
where e.tenant_id = %(tenant)s and e.occurred_at >= %(start)s and e.occurred_at < %(end)s
    and (
        %(segment)s = 'everybody'
        or %(segment)s = 'new' and u.first_seen_at >= %(start)s
        or %(segment)s = 'returning' and u.first_seen_at < %(start)s
    )
"""
ACTIVE = """
select active_users from marts.active_users
where tenant_id = %(tenant)s and period = %(period)s and period_start = %(start)s
"""
DAILY = """
select coalesce(sum(active_users), 0) from marts.active_users
where tenant_id = %(tenant)s and period = 'day' and period_start >= %(start)s and period_start < %(end)s
"""
BY_TYPE = """
select event_type, sum(events)::bigint from marts.tenant_usage_metrics
where tenant_id = %(tenant)s and day >= %(start)s and day < %(end)s
group by event_type
"""
BY_DAY = """
select day, sum(events)::bigint from marts.tenant_usage_metrics
where tenant_id = %(tenant)s and day >= %(start)s and day < %(end)s
group by day
"""
BY_USER = """
select user_id, sum(events)::bigint from marts.fct_user_activity
where tenant_id = %(tenant)s and active_on >= %(start)s and active_on < %(end)s
group by user_id
"""

PERIODS: tuple[Calendar, ...] = ("day", "week", "month")

Ask = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def marts(showcase: Showcase) -> Iterator[psycopg.Connection]:
    """The marts, past all that the notebooks read through."""
    with showcase.database.connect_admin() as connection:
        yield connection


@pytest.fixture
def ask(marts: psycopg.Connection) -> Ask:
    """Rows of a statement on the marts."""

    def rows(statement: str, **values: object) -> list[tuple[Any, ...]]:
        return marts.execute(statement.encode(), values).fetchall()

    return rows


def moments(wb: Workbench) -> tuple[datetime, date]:
    """Up to when the tenant's data is published, and the day that its pages are shown of."""
    as_of = wb.freshness().as_of
    assert as_of is not None
    span = overview.span(wb.table("fct_usage_events"))
    assert span is not None
    return as_of, latest_day(as_of, span.last_at)


def frames(wb: Workbench) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """The overview's tables."""
    return wb.table("fct_usage_events"), wb.table("dim_users")


@pytest.mark.parametrize(
    ("segment", "kinds"), [("everybody", KINDS), ("new", ("28 days", "month")), ("returning", ("28 days", "week"))]
)
def test_totals_are_those_of_the_marts_for_every_tenant_and_period(
    showcase: Showcase, ask: Ask, segment: overview.Segment, kinds: tuple[Kind, ...]
) -> None:
    for tenant in showcase.tenants:
        wb = showcase.workbench(tenant)
        as_of, until = moments(wb)
        for kind in kinds:
            chosen = Selection(kind=kind, until=until, as_of=as_of, segment=segment)
            period = chosen.window
            counted = overview.totals(overview.parts(*frames(wb), chosen, period)).rows()
            asked = {"tenant": tenant, "segment": segment}
            now = ask(TOTALS, start=period.start, end=period.end, **asked)[0]
            before = ask(TOTALS, start=period.before_start, end=period.before_end, **asked)[0]
            assert counted == [("now", *now), ("before", *before)], (tenant, kind)


def test_active_users_of_periods_that_are_over_are_those_of_the_mart(showcase: Showcase, ask: Ask) -> None:
    compared = 0
    for tenant in showcase.tenants:
        wb = showcase.workbench(tenant)
        as_of, last = moments(wb)
        for kind in PERIODS:
            for back in (0, 40, 200):
                start = window(kind, until=last - timedelta(days=back), as_of=as_of).start.date()
                whole = Selection(kind=kind, until=_last_day(kind, start), as_of=as_of)
                if not whole.window.over:
                    continue
                counted = overview.totals(overview.parts(*frames(wb), whole, whole.window))["active_users"].to_list()
                starts = (whole.window.start.date(), whole.window.before_start.date())
                assert counted == [_active(ask, tenant, kind, each) for each in starts], (tenant, kind, start)
                compared += 1
    assert compared > 8 * len(showcase.tenants)


def test_stickiness_is_that_of_the_mart_of_days(showcase: Showcase, ask: Ask) -> None:
    for tenant in showcase.tenants:
        wb = showcase.workbench(tenant)
        as_of, until = moments(wb)
        # A day that is over: the mart counts whole days.
        chosen = Selection(kind="28 days", until=min(until, as_of.date() - timedelta(days=1)), as_of=as_of)
        period = chosen.window
        counted = overview.stickiness(overview.parts(*frames(wb), chosen, period), period)
        bounds = ((period.start, period.end), (period.before_start, period.before_end))
        for share, (start, end) in zip(counted, bounds, strict=True):
            user_days = ask(DAILY, tenant=tenant, start=start.date(), end=end.date())[0][0]
            users = ask(TOTALS, tenant=tenant, start=start, end=end, segment="everybody")[0][1]
            assert share == (pytest.approx(int(user_days) / 28 / users) if users else None), tenant


def test_types_steps_and_movers_are_those_of_the_marts(showcase: Showcase, ask: Ask) -> None:
    for tenant in showcase.tenants:
        wb = showcase.workbench(tenant)
        as_of, until = moments(wb)
        chosen = Selection(kind="90 days", until=min(until, as_of.date() - timedelta(days=1)), as_of=as_of)
        period = chosen.window
        found = overview.parts(*frames(wb), chosen, period)
        now = {"tenant": tenant, "start": period.start.date(), "end": period.end.date()}
        before = {"tenant": tenant, "start": period.before_start.date(), "end": period.before_end.date()}

        types = overview.by_type(found, period)
        assert _counts(types, "event_type", "events") == dict(ask(BY_TYPE, **now)), tenant
        assert _counts(types, "event_type", "events_before") == dict(ask(BY_TYPE, **before)), tenant
        assert types["trend"].list.sum().to_list() == types["events"].to_list()

        steps = overview.over_time(found, period, "events").with_columns(pl.col("starts_at").dt.date())
        for part, bounds in (("now", now), ("before", before)):
            drawn = steps.filter(pl.col("part") == part)
            assert drawn.height == 90
            assert _counts(drawn, "starts_at", "value") == dict(ask(BY_DAY, **bounds)), (tenant, part)

        moved = overview.movers(found, most=10_000).filter(pl.col("what") == "user_id")
        users, earlier = _by_user(ask, **now), _by_user(ask, **before)
        expected = {user: users.get(user, 0) - earlier.get(user, 0) for user in users | earlier}
        assert dict(moved.select("name", "difference").iter_rows()) == {u: n for u, n in expected.items() if n}, tenant


def test_the_notebook_runs_for_every_tenant_and_shows_the_figures(showcase: Showcase) -> None:
    for tenant in showcase.tenants:
        wb = showcase.workbench(tenant)
        as_of, until = moments(wb)
        outputs, _ = notebook.app.run(defs={"wb": wb})
        page = "".join(output.text for output in outputs if output is not None)
        chosen = Selection(kind="28 days", until=until, as_of=as_of)
        for now in overview.headline(*frames(wb), chosen).filter(pl.col("measure") != "stickiness")["now"]:
            assert f"<b>{now:,.0f}</b>" in page, tenant
        assert f"<b>{wb.display_name}</b>" in page
        assert "By event type" in page


@pytest.mark.parametrize("which", ["empty", "held"])
def test_the_notebook_says_so_where_nothing_is_published(showcase: Showcase, which: str) -> None:
    wb = showcase.workbench(getattr(showcase, which))
    outputs, _ = notebook.app.run(defs={"wb": wb})
    page = "".join(output.text for output in outputs if output is not None)
    assert "Waiting for the first events" in page
    assert "wb-tiles" not in page
    assert ("Newer data is held back" in page) == (which == "held")


def _active(ask: Ask, tenant: str, period: str, start: date) -> int:
    rows = ask(ACTIVE, tenant=tenant, period=period, start=start)
    return int(rows[0][0]) if rows else 0


def _by_user(ask: Ask, **bounds: object) -> dict[str, int]:
    return {user: int(events) for user, events in ask(BY_USER, **bounds)}


def _counts(frame: pl.DataFrame, key: str, value: str) -> dict[Any, int]:
    return {name: count for name, count in frame.select(key, value).iter_rows() if count}


def _last_day(kind: str, start: date) -> date:
    if kind == "day":
        return start
    if kind == "week":
        return start + timedelta(days=6)
    return (start.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
