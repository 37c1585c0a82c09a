with

users as (

    select * from {{ ref('int_users') }}

),

merged as (

    select
        users.tenant_id,
        users.user_id,
        least(users.first_at, published.first_seen_at) as first_seen_at,
        greatest(users.last_at, published.last_seen_at) as last_seen_at,
        users.events + coalesce(published.events, 0) as events,
        users.new_active_days + coalesce(published.active_days, 0) as active_days
    from users
    {{ left_join_published('dim_users', to='users', on=['user_id']) }}

)

select * from merged
