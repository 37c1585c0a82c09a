"""Retention of the real data set: figures against plain SQL on the marts, and the notebook for every tenant."""

from __future__ import annotations

from datetime import datetime
from typing import get_args

import pytest

from tests.integration.notebooks.stand_ins import StandIn, event
from tests.showcase import Showcase
from workbench.analysis.retention import Kind, Period, Retention, cells, curve, members
from workbench.notebooks import retention as notebook
from workbench.session import Workbench

CELLS = """
with happened as (
    select user_id, event_type, occurred_at, date_trunc($1, occurred_at at time zone 'UTC') as during
    from analytics.fct_usage_events
    where user_id is not null and occurred_at <= $2::timestamptz
),
firsts as (
    select user_id, min(occurred_at) as first_at, min(during) as cohort
    from happened
    where $3 = '' or event_type = $3
    group by user_id
),
sizes as (
    select cohort, count(*) as users from firsts group by cohort
),
grid as (
    select cohort, users, n, cohort + n * ('1 ' || $1)::interval as starts
    from sizes cross join generate_series(0, 12) as n
),
returns as (
    select distinct firsts.cohort, firsts.user_id, happened.during
    from firsts
    join happened on happened.user_id = firsts.user_id and happened.occurred_at >= firsts.first_at
    where $4 = '' or happened.event_type = $4
)
select
    grid.cohort::date as cohort,
    grid.users,
    grid.n::bigint as n,
    grid.starts::date as starts_on,
    count(distinct returns.user_id) as retained,
    (grid.starts + ('1 ' || $1)::interval) at time zone 'UTC' > $2::timestamptz as open
from grid
left join returns
    on returns.cohort = grid.cohort
    and (returns.during = grid.starts or ($5 = 'unbounded' and returns.during > grid.starts))
where grid.starts at time zone 'UTC' <= $2::timestamptz
group by grid.cohort, grid.users, grid.n, grid.starts
order by grid.cohort, grid.n
"""


def today(wb: Workbench) -> datetime:
    found = wb.freshness().as_of
    assert found is not None
    return found


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize(
    ("period", "first_type", "return_type"),
    [("month", None, None), ("week", "commit", "file_modified"), ("day", None, "merge")],
)
def test_every_cell_is_what_sql_counts_for_every_tenant(
    showcase: Showcase, kind: Kind, period: Period, first_type: str | None, return_type: str | None
) -> None:
    asked = Retention(period=period, kind=kind, first_type=first_type, return_type=return_type)
    for tenant in showcase.tenants:
        wb = showcase.workbench(tenant)
        # As of a moment within the data, so that periods are open and some have not begun; then as of today.
        last = wb.sql("select max(occurred_at) - interval '10 days' from analytics.fct_usage_events").item()
        for as_of in (last, today(wb)):
            events = wb.table("fct_usage_events")
            found = cells(events, members(events, asked, as_of), asked, as_of)
            values = [period, as_of.isoformat(), first_type or "", return_type or "", kind]
            expected = wb.sql(CELLS, values)
            assert found.drop("share").rows() == expected.rows(), (tenant, as_of)


def test_the_notebook_begins_with_true_cohorts_for_every_tenant(showcase: Showcase) -> None:
    for tenant in showcase.tenants:
        wb = showcase.workbench(tenant)
        _, defs = notebook.app.run(defs={"wb": wb})
        assert defs["cells"].height > 0, tenant
        assert defs["average"].equals(curve(defs["cells"])), tenant
        values = [defs["asked"].period, today(wb).isoformat(), "", "", "classic"]
        expected = wb.sql(CELLS, values)
        shown = expected.filter(expected["cohort"].is_in(defs["cells"]["cohort"].implode()))
        most = defs["asked"].most_periods
        told = defs["cells"].filter(defs["cells"]["n"] <= 12).drop("share")
        assert told.rows() == shown.filter(shown["n"] <= most).rows(), tenant


def test_without_published_data_the_notebook_says_so(showcase: Showcase) -> None:
    for tenant in (showcase.empty, showcase.held):
        outputs, defs = notebook.app.run(defs={"wb": showcase.workbench(tenant)})
        assert "Waiting for the first events" in "".join(output.text for output in outputs if output is not None)
        assert "cells" not in defs


def test_without_users_nobody_can_be_seen_coming_back() -> None:
    outputs, defs = notebook.app.run(defs={"wb": StandIn([event("visit", 0, session_id="s1")])})
    assert "Nobody to recognise" in "".join(output.text for output in outputs if output is not None)
    assert "cells" not in defs
