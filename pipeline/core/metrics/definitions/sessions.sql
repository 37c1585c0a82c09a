with

visited as (

    select distinct
        date_trunc(granularity, e.occurred_at)::date as period_start,
        e.session_id
    from fct_usage_events as e
    where
        e.occurred_at >= range_start::timestamptz
        and e.occurred_at < range_end::timestamptz
        and e.session_id is not null

)

select
    v.period_start,
    count(*),
    percentile_cont(0.5) within group (order by s.duration_seconds),
    percentile_cont(0.9) within group (order by s.duration_seconds),
    count(distinct s.user_id)
from visited as v
inner join fct_sessions as s on s.session_id = v.session_id
group by 1
order by 1
