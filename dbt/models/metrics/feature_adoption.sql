with

activity as (

    select * from {{ ref('int_user_activity') }}

),

user_features as (

    select
        tenant_id,
        event_type,
        user_id,
        min(first_at) as first_at,
        max(last_at) as last_at,
        sum(events)::bigint as events,
        full_refresh
    from activity
    group by tenant_id, event_type, user_id, full_refresh

),

compared as (

    select
        user_features.tenant_id,
        user_features.event_type,
        user_features.first_at,
        user_features.last_at,
        user_features.events,
        user_features.user_id is not null and published.tenant_id is null as is_new,
        user_features.full_refresh
    from user_features
    {{ left_join_first_published(
        'fct_user_activity',
        to='user_features',
        on=['event_type', 'user_id'],
        first_by='active_on',
    ) }}

),

features as (

    select
        tenant_id,
        event_type,
        count(*) filter (where is_new) as new_adopters,
        sum(events)::bigint as events,
        min(first_at) as first_at,
        max(last_at) as last_at,
        full_refresh
    from compared
    group by tenant_id, event_type, full_refresh

),

merged as (

    select
        features.tenant_id,
        features.event_type,
        features.new_adopters + coalesce(published.adopters, 0) as adopters,
        features.events + coalesce(published.events, 0) as events,
        least(features.first_at, published.first_used_at) as first_used_at,
        greatest(features.last_at, published.last_used_at) as last_used_at
    from features
    {{ left_join_published('feature_adoption', to='features', on=['event_type']) }}

)

select * from merged
