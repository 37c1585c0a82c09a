select
    date_trunc(granularity, u.day::timestamp)::date,
    case dimension when 'event_type' then u.event_type end,
    sum(u.events)::bigint
from tenant_usage_metrics as u
where u.day >= range_start and u.day < range_end
group by 1, 2
order by 1, 2
