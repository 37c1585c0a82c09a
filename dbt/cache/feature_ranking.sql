with

adoption as (

    select * from marts.feature_adoption

),

tenants as (

    select * from marts.dim_tenants

),

ranked as (

    select
        adoption.tenant_id,
        adoption.event_type,
        adoption.adopters,
        adoption.events,
        rank() over (
            partition by adoption.tenant_id
            order by adoption.adopters desc, adoption.events desc
        ) as rank_by_adopters,
        adoption.events::double precision
        / sum(adoption.events) over (partition by adoption.tenant_id)::double precision as share_of_events,
        adoption.adopters::double precision
        / nullif(tenants.users, 0)::double precision as adoption_rate
    from adoption
    inner join tenants on adoption.tenant_id = tenants.tenant_id

)

select * from ranked
