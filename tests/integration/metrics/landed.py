"""Every metric once more, by SQL over the events that were landed: it shares nothing with the marts."""

from __future__ import annotations

from datetime import date, timedelta

PREPARE = """
drop table if exists pg_temp.events;
create temp table events as
select event_type, user_id, session_id, occurred_at, occurred_at at time zone 'UTC' as at
from raw.usage_events
where tenant_id = {tenant};
analyze pg_temp.events
"""
"""Puts a tenant's events aside, for an administrator's session."""

BASE = """
with told as (
    select *, date_trunc(%(granularity)s, at)::date as period_start from events where at >= %(start)s and at < %(end)s
)
"""
LANDED = {
    "active_users": "select period_start, count(distinct user_id), count(*) from told group by 1 order by 1",
    "events": """
        select period_start, case when %(dimension)s = 'event_type' then event_type end, count(*)
        from told group by 1, 2 order by 1, 2
    """,
    "feature_users": """
        select period_start, event_type, count(distinct user_id), count(*) from told group by 1, 2 order by 1, 2
    """,
    "new_users": """
        select date_trunc(%(granularity)s, first_at)::date, count(*)
        from (select min(at) as first_at from events where user_id is not null group by user_id) as f
        where first_at >= %(start)s and first_at < %(end)s
        group by 1 order by 1
    """,
    "feature_adoption": """
        select
            event_type,
            count(distinct user_id),
            count(distinct user_id)::float8 / (select nullif(count(distinct user_id), 0) from events),
            count(*),
            min(occurred_at),
            max(occurred_at)
        from events
        group by event_type
        having max(at) >= %(start)s and max(at) < %(end)s
        order by 2 desc, 4 desc, 1
    """,
    "sessions": """
        , lengths as (
            select
                session_id,
                extract(epoch from max(at) - min(at))::float8 as seconds,
                (array_agg(user_id order by at, user_id nulls last))[1] as user_id
            from events where session_id is not null group by session_id
        )
        select
            period_start,
            count(*),
            percentile_cont(0.5) within group (order by seconds),
            percentile_cont(0.9) within group (order by seconds),
            count(distinct l.user_id)
        from (select distinct period_start, session_id from told) as v
        join lengths as l using (session_id)
        group by 1 order by 1
    """,
    "stickiness": """
        , days as (select distinct user_id, at::date as day from events where user_id is not null),
        seen as (select day + n as day, user_id from days cross join generate_series(0, 27) as n)
        select day, count(*)::float8 / 28 / count(distinct user_id), count(distinct user_id)
        from seen where day >= %(start)s and day < %(end)s
        group by 1 order by 1
    """,
    "retention": """
        , happened as (
            select user_id, date_trunc(%(granularity)s, at) as during
            from events where user_id is not null and occurred_at <= %(as_of)s
        ),
        cohorts as (select user_id, min(during) as cohort from happened group by user_id),
        grid as (
            select cohort, n, count(*) as users, cohort + n * ('1 ' || %(granularity)s)::interval as starts
            from cohorts cross join generate_series(0, 12) as n
            where cohort >= %(start)s and cohort < %(end)s
            group by cohort, n
        )
        select
            g.cohort::date,
            g.n,
            g.users,
            count(distinct h.user_id),
            count(distinct h.user_id)::float8 / g.users,
            (g.starts + ('1 ' || %(granularity)s)::interval) at time zone 'UTC' > %(as_of)s
        from grid as g
        left join cohorts as c using (cohort)
        left join happened as h on h.user_id = c.user_id and h.during = g.starts
        where g.starts at time zone 'UTC' <= %(as_of)s
        group by g.cohort, g.n, g.users, g.starts
        order by 1, 2
    """,
}
LANDED = {name: BASE + query for name, query in LANDED.items()}


def whole_range(days: tuple[date, date], granularity: str) -> tuple[date, date]:
    """The days of the whole periods that a range touches: the first, and the first after them."""
    first, last = days[0], days[1] - timedelta(days=1)
    match granularity:
        case "week":
            return first - timedelta(days=first.weekday()), last + timedelta(days=7 - last.weekday())
        case "month":
            return first.replace(day=1), (last.replace(day=1) + timedelta(days=32)).replace(day=1)
        case _:
            return days
