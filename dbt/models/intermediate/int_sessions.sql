with

events as (

    select * from {{ ref('int_usage_events') }}
    where session_id is not null

),

sessions as (

    select
        tenant_id,
        session_id,
        -- Byte order, so that every server breaks a tie the same way.
        (array_agg(user_id order by occurred_at, user_id collate "C"))[1] as user_id,
        min(occurred_at) as started_at,
        max(occurred_at) as ended_at,
        count(*) as events,
        full_refresh
    from events
    group by tenant_id, session_id, full_refresh

),

compared as (

    select
        sessions.tenant_id,
        sessions.session_id,
        sessions.user_id,
        sessions.started_at,
        sessions.ended_at,
        sessions.events,
        published.tenant_id is null as is_new,
        sessions.full_refresh
    from sessions
    {{ left_join_published('fct_sessions', to='sessions', on=['session_id']) }}

)

select * from compared
