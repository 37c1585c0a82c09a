-- A view: it is read three times, which costs less than to write and to read again.
{{ config(materialized='view', unlogged=none, post_hook=[]) }}

with

events as (

    select * from {{ ref('stg_usage_events') }}

),

enriched as (

    select
        tenant_id,
        event_id,
        event_type,
        occurred_at,
        (occurred_at at time zone 'UTC')::date as occurred_on,
        received_at,
        extract(epoch from received_at - occurred_at)::double precision as lag_seconds,
        user_id,
        session_id,
        properties,
        full_refresh
    from events

)

select * from enriched
