with

activity as (

    select * from {{ ref('int_user_activity') }}

),

dated as (

    select
        activity.*,
        calendar.period,
        date_trunc(calendar.period, activity.active_on::timestamp)::date as period_start
    from activity
    cross join unnest(array['day', 'week', 'month']) as calendar (period)

),

periods as (

    select
        tenant_id,
        user_id,
        period,
        period_start,
        (period_start + ('1 ' || period)::interval)::date as period_end,
        sum(events)::bigint as events,
        min(first_at) as first_at,
        max(last_at) as last_at,
        full_refresh
    from dated
    group by tenant_id, user_id, period, period_start, full_refresh

),

compared as (

    select
        periods.tenant_id,
        periods.user_id,
        periods.period,
        periods.period_start,
        periods.events,
        periods.first_at,
        periods.last_at,
        periods.user_id is not null and published.tenant_id is null as is_new,
        periods.full_refresh
    from periods
    {{ left_join_first_published(
        'fct_user_activity',
        to='periods',
        on=['user_id'],
        where='mart.active_on >= periods.period_start and mart.active_on < periods.period_end',
        first_by='active_on',
    ) }}

)

select * from compared
