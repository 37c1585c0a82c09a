with

activity as (

    select * from {{ ref('int_user_activity') }}

),

days as (

    select
        tenant_id,
        active_on as day,
        event_type,
        sum(events)::bigint as events,
        count(*) filter (where is_new) as new_active_users,
        full_refresh
    from activity
    group by tenant_id, active_on, event_type, full_refresh

),

merged as (

    select
        days.tenant_id,
        days.day,
        days.event_type,
        days.events + coalesce(published.events, 0) as events,
        days.new_active_users + coalesce(published.active_users, 0) as active_users
    from days
    {{ left_join_published('tenant_usage_metrics', to='days', on=['day', 'event_type']) }}

)

select * from merged
