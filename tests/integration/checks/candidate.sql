-- The candidate that dbt would build for the planned promotion, recomputed from raw without its models.
-- Run as a superuser. An aggregate holds the keys that the window touches, over all events.
set role workbench_transformer;
drop table if exists
    candidate.fct_usage_events, candidate.fct_sessions, candidate.fct_user_activity, candidate.dim_users,
    candidate.dim_tenants, candidate.tenant_usage_metrics, candidate.active_users, candidate.feature_adoption;
create table candidate.fct_usage_events as table marts.fct_usage_events with no data;
create table candidate.fct_sessions as table marts.fct_sessions with no data;
create table candidate.fct_user_activity as table marts.fct_user_activity with no data;
create table candidate.dim_users as table marts.dim_users with no data;
create table candidate.dim_tenants as table marts.dim_tenants with no data;
create table candidate.tenant_usage_metrics as table marts.tenant_usage_metrics with no data;
create table candidate.active_users as table marts.active_users with no data;
create table candidate.feature_adoption as table marts.feature_adoption with no data;
reset role;

create or replace temporary view events as
select
    e.*,
    (e.occurred_at at time zone 'UTC')::date as occurred_on,
    e.landed_xid >= w.from_xid as is_new
from raw.usage_events as e
inner join control.promotion_window as w using (tenant_id)
where e.landed_xid < w.bound_xid;

create or replace temporary view periods as
select e.tenant_id, e.user_id, e.is_new, p.period, p.period_start
from events as e
cross join lateral (
    values
    ('day', e.occurred_on),
    ('week', date_trunc('week', e.occurred_on::timestamp)::date),
    ('month', date_trunc('month', e.occurred_on::timestamp)::date)
) as p (period, period_start);

insert into candidate.fct_usage_events
select
    tenant_id, event_id, event_type, occurred_at, occurred_on, received_at,
    extract(epoch from received_at - occurred_at)::double precision, user_id, session_id, properties
from events
where is_new;

insert into candidate.fct_sessions
select
    tenant_id, session_id, min(user_id), min(occurred_at), max(occurred_at),
    extract(epoch from max(occurred_at) - min(occurred_at))::double precision, count(*)
from events
where session_id is not null
group by tenant_id, session_id
having bool_or(is_new);

insert into candidate.fct_user_activity
select tenant_id, user_id, occurred_on, event_type, count(*), min(occurred_at), max(occurred_at)
from events
where user_id is not null
group by tenant_id, user_id, occurred_on, event_type
having bool_or(is_new);

insert into candidate.dim_users
select tenant_id, user_id, min(occurred_at), max(occurred_at), count(*), count(distinct occurred_on)
from events
where user_id is not null
group by tenant_id, user_id
having bool_or(is_new);

insert into candidate.dim_tenants
select
    tenant_id, tenant_id, min(occurred_at), max(occurred_at), count(*), count(distinct user_id),
    count(distinct session_id)
from events
group by tenant_id
having bool_or(is_new);

insert into candidate.tenant_usage_metrics
select tenant_id, occurred_on, event_type, count(*), count(distinct user_id)
from events
group by tenant_id, occurred_on, event_type
having bool_or(is_new);

insert into candidate.active_users
select tenant_id, period, period_start, count(distinct user_id), count(*)
from periods
group by tenant_id, period, period_start
having bool_or(is_new);

insert into candidate.feature_adoption
select tenant_id, event_type, count(distinct user_id), count(*), min(occurred_at), max(occurred_at)
from events
group by tenant_id, event_type
having bool_or(is_new);
