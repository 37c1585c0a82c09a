"""Funnels of the real data set: figures against plain SQL on the marts, and the notebook for every tenant."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import polars as pl
import pytest

from tests.integration.notebooks.stand_ins import StandIn, event
from tests.showcase import Showcase
from workbench.analysis.explore_options import bounds_of
from workbench.analysis.funnels import Counted, Funnel, conversion
from workbench.analysis.funnels_steps import Step
from workbench.notebooks import funnels as notebook
from workbench.session import Workbench

WEEK, MONTH = timedelta(days=7), timedelta(days=30)
COMMIT, MODIFIED, ADDED, MERGE = (Step(name) for name in ("commit", "file_modified", "file_added", "merge"))

# Backwards in time the latest minimum is the next one; peers, which have no order, are in the frame. What comes
# after a step can only be later the later the step is, so a minimum over all later steps is that after the next.
THREE_STEPS = """
with happened as (
    select {actor} as actor, event_type, occurred_at
    from analytics.fct_usage_events
    where {actor} is not null
),
thirds as (
    select *, min(occurred_at) filter (where event_type = $3)
        over (partition by actor order by occurred_at desc) as third
    from happened
),
seconds as (
    select *,
        min(occurred_at) filter (where event_type = $2) over later as second,
        min(third) filter (where event_type = $2) over later as after_second
    from thirds
    window later as (partition by actor order by occurred_at desc)
),
starts as (
    select actor,
        extract(epoch from second - occurred_at) <= $4::double precision as gets_to_second,
        extract(epoch from after_second - occurred_at) <= $4::double precision as gets_to_third
    from seconds
    where event_type = $1
)
select
    count(distinct actor) as first,
    count(distinct actor) filter (where gets_to_second) as second,
    count(distinct actor) filter (where gets_to_third) as third
from starts
"""

AGAIN_AND_AGAIN = """
with ordered as (
    select user_id, occurred_at,
        lead(occurred_at, 1) over later - occurred_at as once_more,
        lead(occurred_at, 2) over later - occurred_at as twice_more
    from analytics.fct_usage_events
    where user_id is not null and event_type = $1
    window later as (partition by user_id order by occurred_at)
)
select
    count(distinct user_id),
    count(distinct user_id) filter (where extract(epoch from once_more) <= $2::double precision),
    count(distinct user_id) filter (where extract(epoch from twice_more) <= $2::double precision)
from ordered
"""

NOTHING_BETWEEN = """
with placed as (
    select session_id, event_id, event_type, occurred_at,
        dense_rank() over (partition by session_id order by occurred_at) as place
    from analytics.fct_usage_events
    where session_id is not null
)
select
    count(distinct begun.session_id),
    count(distinct begun.session_id) filter (
        where extract(epoch from ended.occurred_at - begun.occurred_at) <= $3::double precision
    )
from placed as begun
left join placed as ended
    on ended.session_id = begun.session_id
    and ended.place in (begun.place, begun.place + 1)
    and ended.event_type = $2
where begun.event_type = $1
"""

MEDIAN = """
with befores as (
    select user_id, event_type, occurred_at,
        max(occurred_at) filter (where event_type = $1) over (partition by user_id order by occurred_at) as begun
    from analytics.fct_usage_events
    where user_id is not null
),
converted as (
    select distinct on (user_id) user_id, extract(epoch from occurred_at - begun)::double precision as seconds
    from befores
    where event_type = $2 and extract(epoch from occurred_at - begun) <= $3::double precision
    order by user_id, occurred_at
)
select percentile_cont(0.5) within group (order by seconds) from converted
"""

WEEKS = """
with nexts as (
    select user_id, event_type, occurred_at,
        min(occurred_at) filter (where event_type = $2) over (partition by user_id order by occurred_at desc) as ended
    from analytics.fct_usage_events
    where user_id is not null
)
select
    date_trunc('week', occurred_at at time zone 'UTC')::date as week,
    count(distinct user_id) as begun,
    count(distinct user_id) filter (
        where extract(epoch from ended - occurred_at) <= $3::double precision
    ) as converted
from nexts
where event_type = $1 and occurred_at >= $4::timestamptz
group by 1
order by 1
"""


def counted(wb: Workbench, funnel: Funnel) -> Counted:
    return Counted(wb.table("fct_usage_events"), funnel, as_of(wb))


def as_of(wb: Workbench) -> datetime:
    found = wb.freshness().as_of
    assert found is not None
    return found


def reached(wb: Workbench, funnel: Funnel) -> list[int]:
    return conversion(counted(wb, funnel).journeys, funnel)["reached"].to_list()


@pytest.mark.parametrize(("counting", "actor"), [("users", "user_id"), ("sessions", "session_id")])
def test_three_steps_are_what_sql_counts_for_every_tenant(showcase: Showcase, counting: str, actor: str) -> None:
    query = THREE_STEPS.format(actor=actor)
    converted = 0
    for tenant in showcase.tenants:
        wb = showcase.workbench(tenant)
        for steps in ((COMMIT, MODIFIED, ADDED), (ADDED, COMMIT, MERGE)):
            funnel = Funnel(steps=steps, window=WEEK, counting=counting)  # type: ignore[arg-type]
            expected = wb.sql(query, [*(step.event_type for step in steps), WEEK.total_seconds()]).row(0)
            assert tuple(reached(wb, funnel)) == expected, tenant
            converted += expected[2]
    assert converted > 0


def test_the_same_step_again_takes_another_event_for_every_tenant(showcase: Showcase) -> None:
    for tenant in showcase.tenants:
        wb = showcase.workbench(tenant)
        funnel = Funnel(steps=(MODIFIED, MODIFIED, MODIFIED), window=timedelta(hours=1))
        expected = wb.sql(AGAIN_AND_AGAIN, ["file_modified", 3600.0]).row(0)
        assert tuple(reached(wb, funnel)) == expected, tenant


def test_with_nothing_in_between_sql_counts_the_same_for_every_tenant(showcase: Showcase) -> None:
    for tenant in showcase.tenants:
        wb = showcase.workbench(tenant)
        funnel = Funnel(steps=(COMMIT, MERGE), window=WEEK, counting="sessions", between="nothing")
        expected = wb.sql(NOTHING_BETWEEN, ["commit", "merge", WEEK.total_seconds()]).row(0)
        assert tuple(reached(wb, funnel)) == expected, tenant


def test_the_median_time_is_that_of_sql_for_every_tenant(showcase: Showcase) -> None:
    for tenant in showcase.tenants:
        wb = showcase.workbench(tenant)
        funnel = Funnel(steps=(ADDED, MERGE), window=MONTH)
        expected = wb.sql(MEDIAN, ["file_added", "merge", MONTH.total_seconds()]).item()
        found = conversion(counted(wb, funnel).journeys, funnel)["median_seconds"][1]
        assert found == pytest.approx(expected, abs=1e-6), tenant


def test_the_weeks_are_those_of_sql_for_every_tenant(showcase: Showcase) -> None:
    since = date(2024, 1, 3)
    for tenant in showcase.tenants:
        wb = showcase.workbench(tenant)
        funnel = Funnel(steps=(COMMIT, MERGE), window=WEEK, since=since)
        expected = wb.sql(WEEKS, ["commit", "merge", WEEK.total_seconds(), f"{since}T00:00:00Z"])
        found = counted(wb, funnel).weeks().filter(pl.col("begun") > 0)
        assert found.select("week", "begun", "converted").rows() == expected.rows(), tenant


def test_the_notebook_begins_with_a_true_funnel_for_every_tenant(showcase: Showcase) -> None:
    for tenant in showcase.tenants:
        wb = showcase.workbench(tenant)
        _, defs = notebook.app.run(defs={"wb": wb})
        funnel, steps = defs["funnel"], defs["steps"]
        assert steps["reached"][0] > 0, tenant
        begun = wb.sql(
            "select count(distinct user_id) from analytics.fct_usage_events "
            "where event_type = $1 and occurred_on between $2::date and $3::date",
            [funnel.steps[0].event_type, str(funnel.since), str(funnel.until)],
        ).item()
        assert steps["reached"][0] == begun, tenant
        bounds = bounds_of(wb.table("fct_usage_events"))
        assert bounds is not None
        assert funnel.until == bounds[1].date(), tenant


def test_without_published_data_the_notebook_says_so(showcase: Showcase) -> None:
    for tenant in (showcase.empty, showcase.held):
        outputs, defs = notebook.app.run(defs={"wb": showcase.workbench(tenant)})
        assert "Waiting for the first events" in "".join(output.text for output in outputs if output is not None)
        assert "steps" not in defs


def test_without_users_sessions_are_counted() -> None:
    wb = StandIn([event("visit", 0, session_id="s1"), event("buy", 1, session_id="s1")])
    _, defs = notebook.app.run(defs={"wb": wb})
    assert defs["funnel"].counting == "sessions"
    assert defs["steps"]["reached"].to_list() == [1, 1]


def test_with_neither_users_nor_sessions_nobody_can_be_followed() -> None:
    outputs, defs = notebook.app.run(defs={"wb": StandIn([event("visit", 0)])})
    assert "Nobody to follow" in "".join(output.text for output in outputs if output is not None)
    assert "funnel" not in defs
