with

source as (

    select * from {{ source('control', 'tenants') }}

),

renamed as (

    select
        tenant_id,
        display_name
    from source

)

select * from renamed
