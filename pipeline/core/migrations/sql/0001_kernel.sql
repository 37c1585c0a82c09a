-- The kernel: schemas, raw and control tables, tenant context, policies and grants.
-- Run as workbench_owner, which owns everything that it creates.

create schema raw;
create schema staging;
create schema intermediate;
create schema candidate;
create schema marts;
create schema cache;
create schema analytics;

-- ------------------------------------------------------------------ control: tenants and keys

create table control.tenants (
    tenant_id text primary key
        check (tenant_id ~ '^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$'),
    display_name text not null check (length(display_name) between 1 and 200),
    status text not null default 'active' check (status in ('active', 'suspended')),
    event_types text[],
    created_at timestamptz not null default now(),
    suspended_at timestamptz,
    check ((status = 'suspended') = (suspended_at is not null))
);
comment on column control.tenants.event_types is 'the only event types allowed; null allows any';

create table control.tenant_logins (
    tenant_id text primary key references control.tenants,
    role_name text not null unique,
    created_at timestamptz not null default now()
);
comment on table control.tenant_logins is
    'which LOGIN role is which tenant; read by control.current_tenant() alone';

create table control.api_keys (
    tenant_id text not null references control.tenants,
    key_id text not null unique check (key_id ~ '^[0-9A-Za-z]{12}$'),
    label text not null default '',
    secret_hash bytea not null check (length(secret_hash) = 32),
    scopes text[] not null
        check (cardinality(scopes) > 0 and scopes <@ array['ingest', 'read']),
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    primary key (tenant_id, key_id)
);

create table control.signing_keys (
    key_id text primary key check (key_id ~ '^[0-9a-z]{1,16}$'),
    inner_pad bytea not null check (length(inner_pad) = 64),
    outer_pad bytea not null check (length(outer_pad) = 64),
    created_at timestamptz not null default now(),
    retired_at timestamptz
);
comment on table control.signing_keys is
    'HMAC-SHA256 keys of tenant tokens as the two 64-byte pads of RFC 2104; owner only';

-- ------------------------------------------------------------------ raw: what was landed

create table raw.usage_events (
    tenant_id text not null,
    event_id uuid not null,
    event_type text not null,
    occurred_at timestamptz not null,
    received_at timestamptz not null,
    user_id text,
    session_id text,
    properties jsonb not null,
    payload_hash bytea not null,
    landed_at timestamptz not null default now(),
    landed_xid xid8 not null default pg_current_xact_id(),
    primary key (tenant_id, event_id)
);
comment on column raw.usage_events.landed_xid is
    'landing transaction; rows below a snapshot''s xmin can no longer change, which is the promotion''s bound';
create index usage_events_landed on raw.usage_events (tenant_id, landed_xid);

create table raw.dead_letters (
    tenant_id text not null,
    dead_letter_id uuid not null,
    event_id uuid,
    reason text not null check (reason in ('conflict', 'unknown_tenant', 'refused_by_database')),
    detail text not null,
    original bytea not null,
    received_at timestamptz not null,
    landed_at timestamptz not null default now(),
    source jsonb not null default '{}',
    primary key (tenant_id, dead_letter_id)
);

-- ------------------------------------------------------------------ control: ledgers

create table control.ingest_ledger (
    tenant_id text not null,
    hour timestamptz not null,
    accepted bigint not null,
    stored bigint not null,
    duplicate bigint not null,
    dead_lettered bigint not null,
    primary key (tenant_id, hour),
    constraint every_event_is_accounted_for
        check (accepted = stored + duplicate + dead_lettered)
);
comment on table control.ingest_ledger is
    'per tenant and hour of landing: accepted counts what arrived, the others what became of it';

create table control.landing_progress (
    tenant_id text primary key,
    landed_xid xid8 not null
);
comment on table control.landing_progress is 'the latest landing transaction that stored rows of a tenant';

create table control.promotions (
    promotion_id bigint generated always as identity primary key,
    state text not null default 'planned'
        check (state in ('planned', 'built', 'judged', 'published', 'nothing_new', 'failed')),
    full_refresh boolean not null default false,
    requested_tenants text[],
    bound_xid xid8 not null,
    as_of timestamptz not null,
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    models_fingerprint text not null,
    error text,
    rows_written bigint not null default 0,
    rows_deleted bigint not null default 0
);
comment on column control.promotions.bound_xid is 'exclusive: the promotion holds rows landed below it';
comment on column control.promotions.requested_tenants is 'null: every tenant with new data';
comment on column control.promotions.full_refresh is
    'as asked for; who was refreshed, asked for or not, stands in promotion_tenants';

create table control.promotion_tenants (
    tenant_id text not null,
    promotion_id bigint not null references control.promotions,
    from_xid xid8 not null,
    full_refresh boolean not null,
    raw_rows bigint not null check (raw_rows > 0),
    verdict text check (verdict in ('passed', 'failed', 'errored', 'empty', 'unseen')),
    promoted boolean not null default false,
    primary key (tenant_id, promotion_id),
    constraint only_passed_is_promoted check (not promoted or verdict = 'passed')
);
create index promotion_tenants_by_promotion on control.promotion_tenants (promotion_id);
comment on table control.promotion_tenants is
    'a promotion''s window (raw rows from from_xid to the bound) and its verdict, per tenant';
comment on column control.promotion_tenants.full_refresh is
    'the window holds all of the tenant, and replaces what is published: asked for, never promoted, or other models';

create table control.check_results (
    tenant_id text not null,
    promotion_id bigint not null references control.promotions,
    boundary text not null,
    rule text not null,
    severity text not null check (severity in ('stop', 'warn')),
    outcome text not null check (outcome in ('failed', 'errored')),
    failing_rows bigint not null,
    detail text not null,
    samples jsonb not null default '[]',
    primary key (tenant_id, promotion_id, boundary, rule)
);
comment on table control.check_results is 'what did not pass, per tenant and rule, with up to 20 sample rows';

create table control.promotion_progress (
    tenant_id text primary key,
    promoted_xid xid8 not null,
    promotion_id bigint not null references control.promotions,
    as_of timestamptz not null,
    models_fingerprint text not null
);
comment on column control.promotion_progress.models_fingerprint is
    'of the models that built the tenant''s published rows; others begin with a full refresh of the tenant';
comment on table control.promotion_progress is 'up to where (exclusive) a tenant''s raw rows are in the marts';

create table control.releases (
    release_id bigint generated always as identity primary key,
    deployed_at timestamptz not null default clock_timestamp(),
    version text not null,
    fingerprint text not null,
    facts jsonb not null
);
comment on table control.releases is 'security fingerprint of each deployment, with the catalog facts behind it';

-- The window of the promotion that is being built: the only thing dbt reads of a promotion.
create view control.promotion_window as
select
    t.tenant_id,
    t.promotion_id,
    t.from_xid,
    p.bound_xid,
    p.as_of,
    t.full_refresh
from control.promotions as p
inner join control.promotion_tenants as t using (promotion_id)
where p.state = 'planned';

-- ------------------------------------------------------------------ tenant context

-- The one answer to "which tenant is asking": the tenant of the login role, else that of a valid
-- token in the transaction-local setting workbench.tenant_token, else null.
-- Token: tenant_id|expires (Unix seconds)|key_id|HMAC-SHA256 in hex of all before the last bar.
create function control.current_tenant() returns text
language sql stable security definer parallel safe
set search_path = control, pg_temp
as $$
    select coalesce(
        (select l.tenant_id from control.tenant_logins as l where l.role_name = session_user::text),
        (
            select split_part(t.token, '|', 1)
            from (select nullif(current_setting('workbench.tenant_token', true), '') as token) as t
            inner join control.signing_keys as k on k.key_id = split_part(t.token, '|', 3)
            where
                k.retired_at is null
                and case
                    when t.token !~ '^[^|]+\|[0-9]{1,12}\|[0-9a-z]{1,16}\|[0-9a-f]{64}$' then false
                    when split_part(t.token, '|', 2)::bigint <= extract(epoch from clock_timestamp()) then false
                    else split_part(t.token, '|', 4) = encode(sha256(k.outer_pad || sha256(
                        k.inner_pad || convert_to(left(t.token, -65), 'UTF8')
                    )), 'hex')
                end
        )
    )
$$;

-- ------------------------------------------------------------------ row security of raw

alter table raw.usage_events enable row level security;
alter table raw.usage_events force row level security;
alter table raw.dead_letters enable row level security;
alter table raw.dead_letters force row level security;

create policy lands on raw.usage_events for insert to workbench_lander with check (true);
create policy compares on raw.usage_events for select to workbench_lander using (true);
create policy transforms on raw.usage_events for select to workbench_transformer using (true);
create policy reconciles on raw.usage_events for select to workbench_publisher using (true);
create policy reviews on raw.usage_events for select to workbench_steward using (true);
create policy lands on raw.dead_letters for insert to workbench_lander with check (true);
create policy reviews on raw.dead_letters for select to workbench_steward using (true);

-- What analytics.freshness shows a tenant.
alter table control.promotion_progress enable row level security;
alter table control.promotion_progress force row level security;
create policy publishes on control.promotion_progress to workbench_publisher using (true) with check (true);
create policy reads_all on control.promotion_progress for select to workbench_bi, workbench_steward using (true);
create policy reads_own_tenant on control.promotion_progress for select to workbench_reader
    using (tenant_id = (select control.current_tenant()));

-- ------------------------------------------------------------------ grants

revoke all on all functions in schema control from public;
grant execute on function control.current_tenant()
    to workbench_reader, workbench_tenants, workbench_api, workbench_embed, workbench_bi, workbench_steward;

grant usage on schema raw to workbench_lander, workbench_transformer, workbench_publisher, workbench_steward;
grant usage on schema control
    to workbench_lander, workbench_transformer, workbench_publisher, workbench_api, workbench_steward,
    workbench_reader, workbench_bi;
grant usage, create on schema staging, intermediate, candidate to workbench_transformer;
grant usage on schema candidate to workbench_publisher, workbench_steward;
grant usage on schema marts
    to workbench_transformer, workbench_publisher, workbench_steward, workbench_bi, workbench_reader;
grant usage, create on schema cache to workbench_publisher;
grant usage on schema cache to workbench_reader, workbench_steward, workbench_bi;
grant usage on schema analytics to workbench_tenants, workbench_api, workbench_steward, workbench_bi;
grant create, usage on schema analytics to workbench_reader;

grant select, insert on raw.usage_events to workbench_lander;
grant insert on raw.dead_letters to workbench_lander;
grant select, insert, update on control.ingest_ledger, control.landing_progress to workbench_lander;
grant select (tenant_id, status) on control.tenants to workbench_lander;

grant select on raw.usage_events, control.tenants, control.promotion_window to workbench_transformer;
grant select on raw.usage_events, control.tenants, control.landing_progress, control.ingest_ledger,
    control.releases to workbench_publisher;
grant select, insert, update on control.promotions, control.promotion_tenants, control.check_results,
    control.promotion_progress to workbench_publisher;
grant select on control.promotion_window to workbench_publisher;

grant select on control.api_keys, control.tenants to workbench_api;
grant update (last_used_at) on control.api_keys to workbench_api;

grant select on raw.usage_events, raw.dead_letters, control.tenants, control.ingest_ledger,
    control.landing_progress, control.promotions, control.promotion_tenants, control.check_results,
    control.promotion_progress, control.releases to workbench_steward;
grant select on control.promotion_progress to workbench_reader, workbench_bi;
