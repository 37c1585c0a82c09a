{{ config(
    materialized='incremental',
    unique_key=['tenant_id', 'event_id'],
    indexes=[{'columns': ['tenant_id', 'event_id'], 'unique': true}, {'columns': ['received_at']}],
    post_hook="{{ protect() }}"
) }}

with

events as (

    select * from {{ source('raw', 'usage_events') }}
    {% if is_incremental() %}
        where received_at > (
            select coalesce(max(published.received_at), '-infinity') from {{ this }} as published
        )
    {% endif %}

),

final as (

    select
        tenant_id,
        event_id,
        event_type,
        occurred_at,
        (occurred_at at time zone 'UTC')::date as day,
        received_at,
        extract(epoch from received_at - occurred_at)::double precision as lag_seconds,
        user_id,
        session_id,
        properties
    from events

)

select * from final
