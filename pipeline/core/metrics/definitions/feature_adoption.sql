select
    f.event_type,
    f.adopters,
    f.adopters::double precision / nullif(t.users, 0)::double precision,
    f.events,
    f.first_used_at,
    f.last_used_at
from feature_adoption as f
cross join dim_tenants as t
where f.last_used_at >= range_start::timestamptz and f.last_used_at < range_end::timestamptz
order by f.adopters desc, f.events desc, f.event_type
