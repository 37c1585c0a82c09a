with

events as (

    select * from {{ ref('int_usage_events') }}

),

final as (

    select
        tenant_id,
        event_id,
        event_type,
        occurred_at,
        occurred_on,
        received_at,
        lag_seconds,
        user_id,
        session_id,
        properties
    from events

)

select * from final
