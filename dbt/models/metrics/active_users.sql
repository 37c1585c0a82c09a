with

user_periods as (

    select * from {{ ref('int_user_periods') }}

),

periods as (

    select
        tenant_id,
        period,
        period_start,
        count(*) filter (where is_new) as new_active_users,
        sum(events)::bigint as events,
        full_refresh
    from user_periods
    group by tenant_id, period, period_start, full_refresh

),

merged as (

    select
        periods.tenant_id,
        periods.period,
        periods.period_start,
        periods.new_active_users + coalesce(published.active_users, 0) as active_users,
        periods.events + coalesce(published.events, 0) as events
    from periods
    {{ left_join_published('active_users', to='periods', on=['period', 'period_start']) }}

)

select * from merged
