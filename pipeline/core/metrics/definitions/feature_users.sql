select
    u.day,
    u.event_type,
    u.active_users,
    u.events
from tenant_usage_metrics as u
where u.day >= range_start and u.day < range_end
order by 1, 2
