-- The stream: what of it has landed, shards of tenants, where dead letters came from, the audit log.
-- Run as workbench_owner.

alter table control.tenants add column shards integer not null default 1 check (shards between 1 and 1000);
comment on column control.tenants.shards is
    'over how many partitions of the stream the tenant''s events are spread';

-- ------------------------------------------------------------------ offsets

create table control.stream_offsets (
    topic text not null,
    partition integer not null check (partition >= 0),
    next_offset bigint not null check (next_offset >= 0),
    moved_at timestamptz not null default now(),
    appended_ms bigint,
    incarnation integer not null default 0,
    primary key (topic, partition)
);
comment on column control.stream_offsets.appended_ms is
    'when the broker appended the last landed record: by it a topic that was made anew is known';
comment on column control.stream_offsets.incarnation is
    'how often the topic was found made anew; offsets of different incarnations are different records';
comment on table control.stream_offsets is
    'the next record to land; moved by compare-and-set in the transaction that lands the records before it';

create table control.stream_gaps (
    topic text not null,
    partition integer not null,
    first_offset bigint not null,
    next_offset bigint not null,
    incarnation integer not null,
    found_at timestamptz not null default now(),
    primary key (topic, partition, incarnation, first_offset),
    check (next_offset > first_offset)
);
comment on table control.stream_gaps is 'records that the broker had removed before they were landed';

-- ------------------------------------------------------------------ dead letters

alter table raw.dead_letters
    drop constraint dead_letters_reason_check,
    add constraint dead_letters_reason_check
        check (reason in ('conflict', 'unknown_tenant', 'refused_by_database', 'undecodable')),
    drop column source,
    add column topic text,
    add column partition integer,
    add column record_offset bigint,
    add column incarnation integer not null default 0,
    add column replays integer not null default 0,
    add column resolved_at timestamptz,
    add column resolution text check (resolution in ('stored', 'duplicate')),
    add constraint dead_letters_record_is_whole check (num_nulls(topic, partition, record_offset) in (0, 3)),
    add constraint dead_letters_resolution_is_whole check (num_nulls(resolved_at, resolution) in (0, 2));
comment on column raw.dead_letters.topic is 'the record it came from; null where the API lands by itself';
comment on column raw.dead_letters.replays is 'how often landing it was tried again';
comment on column raw.dead_letters.resolution is 'what became of it when it was replayed with success';

-- A record that is read again, after a crash or by a replay of the topic, is kept once.
create unique index dead_letters_record on raw.dead_letters (tenant_id, topic, partition, record_offset, incarnation)
where topic is not null;
create index dead_letters_open on raw.dead_letters (tenant_id, landed_at) where resolved_at is null;

comment on table control.ingest_ledger is
    'per tenant and hour of receipt: accepted counts what arrived for landing, the others what became of it';

-- ------------------------------------------------------------------ audit

create table control.audit_log (
    audit_id bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    actor text not null,
    action text not null,
    tenant_id text,
    details jsonb not null default '{}'
);
comment on table control.audit_log is 'what people did to data by hand; rows are added and never changed';

-- ------------------------------------------------------------------ policies and grants

create policy replays on raw.dead_letters for select to workbench_lander using (true);
create policy resolves on raw.dead_letters for update to workbench_lander using (true) with check (true);

grant select on raw.dead_letters to workbench_lander;
grant update (reason, detail, replays, resolved_at, resolution) on raw.dead_letters to workbench_lander;
grant select, insert, update on control.stream_offsets to workbench_lander;
grant select, insert on control.stream_gaps to workbench_lander;
grant insert on control.audit_log to workbench_lander;
grant select on control.stream_offsets, control.stream_gaps, control.audit_log to workbench_steward;
