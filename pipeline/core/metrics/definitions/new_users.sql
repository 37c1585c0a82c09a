select
    date_trunc(granularity, u.first_seen_at)::date,
    count(*)
from dim_users as u
where u.first_seen_at >= range_start::timestamptz and u.first_seen_at < range_end::timestamptz
group by 1
order by 1
