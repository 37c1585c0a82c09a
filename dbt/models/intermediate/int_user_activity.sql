with

events as (

    select * from {{ ref('int_usage_events') }}

),

activity as (

    select
        tenant_id,
        user_id,
        occurred_on as active_on,
        event_type,
        count(*) as events,
        min(occurred_at) as first_at,
        max(occurred_at) as last_at,
        full_refresh
    from events
    group by tenant_id, user_id, occurred_on, event_type, full_refresh

),

compared as (

    select
        activity.tenant_id,
        activity.user_id,
        activity.active_on,
        activity.event_type,
        activity.events,
        activity.first_at,
        activity.last_at,
        activity.user_id is not null and published.tenant_id is null as is_new,
        activity.full_refresh
    from activity
    {{ left_join_published('fct_user_activity', to='activity', on=['user_id', 'active_on', 'event_type']) }}

)

select * from compared
