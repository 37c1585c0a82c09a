-- The shipped export as DuckDB reads it, and what the marts must say of it: written from what the
-- columns mean, without a look at the dbt models. `path` is the file's.

create view events as
select
    tenant_id,
    event_type,
    user_id,
    session_id,
    -- The offsets in the file differ; a day is a UTC day.
    cast(cast(occurred_at as timestamptz) at time zone 'UTC' as date) as day
from read_json(
    getvariable('path'),
    format = 'newline_delimited',
    columns = {
        tenant_id: 'varchar',
        event_id: 'varchar',
        event_type: 'varchar',
        occurred_at: 'varchar',
        user_id: 'varchar',
        session_id: 'varchar'
    }
);

create view usage as
select tenant_id, day, event_type, count(*) as events, count(distinct user_id) as users
from events
group by all;

create view totals as
select tenant_id, count(*) as events, count(distinct user_id) as users, count(distinct session_id) as sessions
from events
group by all;

create view active as
select tenant_id, period, cast(date_trunc(period, day) as date) as starts, count(distinct user_id) as users
from events, (values ('day'), ('week'), ('month')) as calendar (period)
group by all;
