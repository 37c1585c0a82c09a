-- What a sender's fast clock dates after the publication's moment has not happened yet.
with

cohorts as (

    select
        u.user_id,
        date_trunc(granularity, u.first_seen_at)::date as cohort_start,
        f.as_of
    from dim_users as u
    cross join freshness as f
    where
        u.first_seen_at >= range_start::timestamptz
        and u.first_seen_at < range_end::timestamptz
        and u.first_seen_at <= f.as_of

),

sizes as (

    select
        c.cohort_start,
        c.as_of,
        count(*) as cohort_users
    from cohorts as c
    group by 1, 2

),

cells as (

    select
        s.cohort_start,
        s.cohort_users,
        n.n as offset_periods,
        s.cohort_start + n.n * ('1 ' || granularity)::interval as starts_at
    from sizes as s
    cross join generate_series(0::bigint, 12::bigint) as n (n)
    where s.cohort_start + n.n * ('1 ' || granularity)::interval <= s.as_of

),

returned as (

    select
        c.cohort_start,
        date_trunc(granularity, a.active_on::timestamp) as starts_at,
        count(distinct c.user_id) as retained_users
    from cohorts as c
    inner join fct_user_activity as a on a.user_id = c.user_id
    where a.first_at <= c.as_of
    group by 1, 2

),

-- Added up instead of joined: how many rows there are on either side, nobody can tell the planner.
told as (

    select
        c.cohort_start,
        c.starts_at,
        c.offset_periods,
        c.cohort_users,
        0 as retained_users
    from cells as c
    union all
    select
        r.cohort_start,
        r.starts_at,
        null,
        null,
        r.retained_users
    from returned as r

)

select
    t.cohort_start,
    max(t.offset_periods),
    max(t.cohort_users),
    sum(t.retained_users)::bigint,
    sum(t.retained_users)::double precision / max(t.cohort_users),
    t.starts_at + ('1 ' || granularity)::interval > (select f.as_of from freshness as f)
from told as t
group by t.cohort_start, t.starts_at
having max(t.offset_periods) is not null
order by 1, 2
