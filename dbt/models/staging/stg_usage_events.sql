with

-- Materialized, so that the windows are settled before a single event is looked up; inlined, the
-- planner may look up the events of all earlier promotions and drop them afterwards.
promotion_window as materialized (

    select * from {{ source('control', 'promotion_window') }}

),

source as (

    -- The lateral subquery with `offset 0` makes this an index probe per tenant (tenant_id,
    -- landed_xid), never a scan of all that was ever landed.
    select
        landed.*,
        promotion_window.full_refresh
    from promotion_window
    cross join lateral (
        select events.*
        from {{ source('raw', 'countable_events') }} as events
        where
            {{ same_tenant('events', 'promotion_window') }}
            and events.landed_xid >= promotion_window.from_xid
            and events.landed_xid < promotion_window.bound_xid
        offset 0
    ) as landed

),

renamed as (

    select
        tenant_id,
        event_id,
        event_type,
        occurred_at,
        received_at,
        user_id,
        session_id,
        properties,
        full_refresh
    from source

)

select * from renamed
