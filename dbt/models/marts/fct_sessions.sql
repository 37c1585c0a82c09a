with

sessions as (

    select * from {{ ref('int_sessions') }}

),

merged as (

    select
        sessions.tenant_id,
        sessions.session_id,
        case
            when sessions.is_new or sessions.started_at < published.started_at then sessions.user_id
            when sessions.started_at > published.started_at then published.user_id
            else least(sessions.user_id collate "C", published.user_id collate "C")
        end as user_id,
        least(sessions.started_at, published.started_at) as started_at,
        greatest(sessions.ended_at, published.ended_at) as ended_at,
        sessions.events + coalesce(published.events, 0) as events
    from sessions
    {{ left_join_published('fct_sessions', to='sessions', on=['session_id']) }}

),

final as (

    select
        tenant_id,
        session_id,
        user_id,
        started_at,
        ended_at,
        extract(epoch from ended_at - started_at)::double precision as duration_seconds,
        events
    from merged

)

select * from final
