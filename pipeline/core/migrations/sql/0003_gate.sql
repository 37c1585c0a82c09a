-- The gate's memory: what was checked, who is held and what a steward decided, what a promotion changed
-- and how to undo it, and what is to be told to others. Run as workbench_owner.

create schema journal;
comment on schema journal is 'one table per mart: what promotions overwrote, so that they can be undone';

-- ------------------------------------------------------------------ holds and decisions

create table control.holds (
    tenant_id text not null,
    hold_id bigint generated always as identity,
    state text not null default 'open' check (state in ('open', 'released', 'discarded', 'cleared')),
    cause text not null check (cause in ('checks', 'rollback')),
    promotion_id bigint not null,
    promotions bigint[] not null,
    verdict text not null check (verdict in ('failed', 'errored', 'empty', 'unseen', 'rolled_back')),
    bound_xid xid8 not null,
    as_of timestamptz not null,
    raw_rows bigint not null,
    models_fingerprint text not null,
    rules_fingerprint text not null,
    opened_at timestamptz not null default clock_timestamp(),
    judged_at timestamptz not null default clock_timestamp(),
    decided_at timestamptz,
    decided_by text,
    reason text,
    primary key (tenant_id, hold_id),
    constraint a_decision_is_whole check ((state = 'open') = (decided_at is null)),
    constraint a_decision_has_a_reason
        check (state not in ('released', 'discarded') or (decided_by is not null and length(reason) > 0))
);
create unique index holds_open on control.holds (tenant_id) where state = 'open';
comment on table control.holds is 'tenants whose new data was not promoted, until it passes or a steward decides';
comment on column control.holds.promotion_id is 'the latest promotion that judged it, or the earliest that was undone';
comment on column control.holds.promotions is 'all that it is about: the one that judged it, or all that were undone';
comment on column control.holds.bound_xid is 'exclusive: what was judged; rows landed later are no part of a decision';
comment on column control.holds.decided_by is 'null where the data passed by itself';

create table raw.discarded_events (
    tenant_id text not null,
    event_id uuid not null,
    hold_id bigint not null,
    discarded_at timestamptz not null default now(),
    primary key (tenant_id, event_id)
);
comment on table raw.discarded_events is 'landed events that a steward keeps out of the marts for good';

create view raw.countable_events with (security_invoker = true) as
select e.*
from raw.usage_events as e
where not exists (
    select from raw.discarded_events as d where d.tenant_id = e.tenant_id and d.event_id = e.event_id
);
comment on view raw.countable_events is 'what was landed, without what was discarded: what promotions take up';

-- A tenant that was held before it was ever promoted has a row too, from 0 and by no promotion.
-- A promotion may be undone to one that is too old to be kept: its id remains.
alter table control.promotion_progress
    drop constraint promotion_progress_promotion_id_fkey,
    alter column promotion_id drop not null,
    alter column as_of drop not null,
    add column held_since timestamptz,
    add column held boolean generated always as (held_since is not null) stored;
comment on column control.promotion_progress.held_since is 'since when newer data is held back; null if it is not';

-- ------------------------------------------------------------------ promotions: what they checked and changed

alter table control.promotions
    drop constraint promotions_state_check,
    add constraint promotions_state_check
        check (state in ('planned', 'built', 'judged', 'published', 'rolled_back', 'nothing_new', 'failed')),
    add column releases_hold bigint,
    add column asked_by text,
    add column rules_fingerprint text,
    add column journal_pruned_at timestamptz;
-- Those of earlier releases left no journal.
update control.promotions set journal_pruned_at = clock_timestamp();
comment on column control.promotions.releases_hold is 'the hold that a steward released with it';
comment on column control.promotions.journal_pruned_at is 'since when it cannot be undone any more';

alter table control.promotion_tenants
    drop constraint promotion_tenants_verdict_check,
    add constraint promotion_tenants_verdict_check
        check (verdict in ('passed', 'released', 'failed', 'errored', 'empty', 'unseen')),
    drop constraint only_passed_is_promoted,
    add constraint only_passed_or_released_is_promoted check (not promoted or verdict in ('passed', 'released')),
    add column candidate_rows jsonb not null default '{}',
    add column previous_xid xid8,
    add column previous_promotion_id bigint,
    add column previous_as_of timestamptz,
    add column previous_models_fingerprint text,
    add column undone_at timestamptz,
    add constraint only_promoted_is_undone check (undone_at is null or promoted);
comment on column control.promotion_tenants.candidate_rows is 'candidate table to how many of its rows were checked';
comment on column control.promotion_tenants.previous_promotion_id is
    'whose data was published before; null if none was. With the columns beside it, the progress that undoing restores';

create table control.promotion_checks (
    promotion_id bigint not null references control.promotions,
    boundary text not null,
    rule text not null,
    table_name text not null,
    severity text not null check (severity in ('stop', 'warn')),
    why text not null,
    outcome text not null check (outcome in ('passed', 'failed', 'errored')),
    checked_rows bigint not null,
    failing_rows bigint not null,
    failing_tenants integer not null,
    primary key (promotion_id, boundary, rule)
);
comment on table control.promotion_checks is 'every rule that a promotion evaluated, over all of its tenants';

create table control.promotion_changes (
    tenant_id text not null,
    promotion_id bigint not null references control.promotions,
    mart text not null,
    inserted bigint not null,
    updated bigint not null,
    deleted bigint not null,
    content_before numeric,
    content_after numeric,
    primary key (tenant_id, promotion_id, mart)
);
create index promotion_changes_by_promotion on control.promotion_changes (promotion_id);
comment on table control.promotion_changes is
    'rows of a mart that a promotion changed, or would have changed of a tenant that it held (contents null)';
comment on column control.promotion_changes.content_before is
    'sum of the hashes of the rows that it overwrote or deleted, as they were before';
comment on column control.promotion_changes.content_after is
    'sum of the hashes of the rows that it inserted or updated, as it left them';

-- ------------------------------------------------------------------ notifications

create table control.notifications (
    notification_id uuid primary key default gen_random_uuid(),
    kind text not null check (kind in ('tenant.held', 'promotion.failed', 'test')),
    tenant_id text,
    promotion_id bigint,
    payload jsonb not null,
    created_at timestamptz not null default clock_timestamp(),
    attempts integer not null default 0,
    next_attempt_at timestamptz not null default clock_timestamp(),
    delivered_at timestamptz,
    abandoned_at timestamptz,
    last_error text,
    check (delivered_at is null or abandoned_at is null)
);
create index notifications_due on control.notifications (next_attempt_at)
where delivered_at is null and abandoned_at is null;
comment on table control.notifications is
    'outbox: written in the transaction that it tells of, delivered afterwards at least once';

-- ------------------------------------------------------------------ policies and grants

alter table raw.discarded_events enable row level security;
alter table raw.discarded_events force row level security;
create policy decides on raw.discarded_events to workbench_publisher using (true) with check (true);
create policy reads_all on raw.discarded_events for select to workbench_transformer, workbench_steward using (true);

grant usage on schema journal to workbench_publisher, workbench_steward;
grant select, insert on raw.discarded_events to workbench_publisher;
grant select on raw.discarded_events to workbench_transformer, workbench_steward;
grant select on raw.countable_events to workbench_transformer, workbench_publisher, workbench_steward;
grant select, insert, update on control.holds to workbench_publisher;
grant select, insert on control.promotion_checks, control.promotion_changes to workbench_publisher;
grant select, insert, update on control.notifications to workbench_publisher;
grant insert, select on control.audit_log to workbench_publisher;
-- The leak probe logs in as tenants do.
grant select (tenant_id, role_name) on control.tenant_logins to workbench_publisher;
grant delete on control.promotion_checks, control.promotion_changes, control.check_results,
    control.promotion_tenants, control.promotions, control.notifications to workbench_publisher;
grant select on control.holds, control.promotion_checks, control.promotion_changes, control.notifications
    to workbench_steward;
