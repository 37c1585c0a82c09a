with

activity as (

    select * from {{ ref('int_user_activity') }}
    where user_id is not null

),

merged as (

    select
        activity.tenant_id,
        activity.user_id,
        activity.active_on,
        activity.event_type,
        activity.events + coalesce(published.events, 0) as events,
        least(activity.first_at, published.first_at) as first_at,
        greatest(activity.last_at, published.last_at) as last_at
    from activity
    {{ left_join_published('fct_user_activity', to='activity', on=['user_id', 'active_on', 'event_type']) }}

)

select * from merged
