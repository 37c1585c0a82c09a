-- What is told of promotions to those who run them: the seconds of each step, and the traces that lead
-- from a landing to the promotion of what it landed. Run as workbench_owner.

alter table control.promotions
    add column step_seconds jsonb not null default '{}' check (jsonb_typeof(step_seconds) = 'object'),
    add column traceparent text check (length(traceparent) <= 100);
comment on column control.promotions.step_seconds is 'step to how long it took, over all processes that worked on it';
comment on column control.promotions.traceparent is
    'the span that its steps belong to, as W3C''s traceparent; null where nothing was traced';

create table control.landing_traces (
    traceparent text primary key check (length(traceparent) <= 100),
    landed_xid xid8 not null default pg_current_xact_id(),
    landed_at timestamptz not null default clock_timestamp()
);
comment on table control.landing_traces is
    'spans of landings that were traced, until the promotion that takes up what they landed links to them';
create index landing_traces_in_order on control.landing_traces (landed_xid);

grant insert on control.landing_traces to workbench_lander;
grant select, delete on control.landing_traces to workbench_publisher;
