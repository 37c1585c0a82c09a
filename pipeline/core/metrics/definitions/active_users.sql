select
    a.period_start,
    a.active_users,
    a.events
from active_users as a
where a.period = granularity and a.period_start >= range_start and a.period_start < range_end
order by 1
