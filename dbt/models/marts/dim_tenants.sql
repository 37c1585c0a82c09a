with

activity as (

    select * from {{ ref('int_user_activity') }}

),

users as (

    select * from {{ ref('int_users') }}

),

sessions as (

    select * from {{ ref('int_sessions') }}

),

registered as (

    select * from {{ ref('stg_tenants') }}

),

totals as (

    select
        tenant_id,
        min(first_at) as first_at,
        max(last_at) as last_at,
        sum(events)::bigint as events,
        full_refresh
    from activity
    group by tenant_id, full_refresh

),

new_users as (

    select
        tenant_id,
        count(*) as users
    from users
    where is_new
    group by tenant_id

),

new_sessions as (

    select
        tenant_id,
        count(*) as sessions
    from sessions
    where is_new
    group by tenant_id

),

merged as (

    select
        totals.tenant_id,
        -- One unregistered tenant must not fail the build of all others.
        coalesce(registered.display_name, totals.tenant_id) as display_name,
        least(totals.first_at, published.first_event_at) as first_event_at,
        greatest(totals.last_at, published.last_event_at) as last_event_at,
        totals.events + coalesce(published.events, 0) as events,
        coalesce(new_users.users, 0) + coalesce(published.users, 0) as users,
        coalesce(new_sessions.sessions, 0) + coalesce(published.sessions, 0) as sessions
    from totals
    left join registered on {{ same_tenant('totals', 'registered') }}
    left join new_users on {{ same_tenant('totals', 'new_users') }}
    left join new_sessions on {{ same_tenant('totals', 'new_sessions') }}
    {{ left_join_published('dim_tenants', to='totals') }}

)

select * from merged
