with

days as (

    select * from {{ ref('int_user_periods') }}
    where period = 'day' and user_id is not null

),

users as (

    select
        tenant_id,
        user_id,
        min(first_at) as first_at,
        max(last_at) as last_at,
        sum(events)::bigint as events,
        count(*) filter (where is_new) as new_active_days,
        full_refresh
    from days
    group by tenant_id, user_id, full_refresh

),

compared as (

    select
        users.tenant_id,
        users.user_id,
        users.first_at,
        users.last_at,
        users.events,
        users.new_active_days,
        published.tenant_id is null as is_new,
        users.full_refresh
    from users
    {{ left_join_published('dim_users', to='users', on=['user_id']) }}

)

select * from compared
