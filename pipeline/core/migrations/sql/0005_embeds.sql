-- Embedding: tokens that open one tenant's figures for a short time, the schema of the functions that take
-- them, and what is known of Metabase. Run as workbench_owner.

-- ------------------------------------------------------------------ tenant tokens

-- A token as control.current_tenant() verifies it, for the API, which has asked who its caller is. The
-- signing key does not leave the database: whoever may call this can sign for as long as it may, and no longer.
create function control.issue_tenant_token(tenant text, seconds integer) returns text
language plpgsql volatile security definer parallel unsafe
set search_path = control, pg_temp
as $$
declare
    tenant_status text := (select t.status from tenants as t where t.tenant_id = tenant);
    signing_key control.signing_keys;
    body text;
begin
    if seconds is null or seconds not between 1 and 3600 then
        raise exception 'A tenant token lives from 1 to 3600 seconds.' using errcode = 'invalid_parameter_value';
    elsif tenant_status is null then
        raise exception 'There is no such tenant.' using errcode = 'no_data_found';
    elsif tenant_status <> 'active' then
        raise exception 'The tenant is suspended.' using errcode = 'invalid_authorization_specification';
    end if;
    select k.* into signing_key
    from signing_keys as k
    where k.retired_at is null
    order by k.created_at desc, k.key_id desc
    limit 1;
    if not found then
        raise exception 'There is no signing key.'
            using errcode = 'object_not_in_prerequisite_state', hint = 'Run "workbench db migrate", which makes one.';
    end if;
    body := concat_ws(
        '|', tenant, floor(extract(epoch from clock_timestamp()))::bigint + seconds, signing_key.key_id
    );
    return body || '|' || encode(sha256(signing_key.outer_pad || sha256(
        signing_key.inner_pad || convert_to(body, 'UTF8')
    )), 'hex');
end
$$;

-- What every metric function asks first: a valid token of an active tenant, from one of our own services. A
-- tenant's login is answered as that tenant whatever the token, so that it could not tell a refusal: it is refused.
create function control.require_bearer() returns void
language plpgsql volatile security definer parallel unsafe
set search_path = control, pg_temp
as $$
begin
    if
        exists (select from tenant_logins as l where l.role_name = session_user::text)
        or not exists (select from tenants as t where t.tenant_id = current_tenant() and t.status = 'active')
    then
        raise exception 'The tenant token is missing, expired or not valid.'
            using errcode = 'invalid_authorization_specification', hint = 'Ask for a new one.';
    end if;
end
$$;

-- What every metric function asks next. Null and empty arrays allow nothing; a null granularity or dimension has
-- been replaced by the metric's own before.
create function control.require_metric_arguments(
    from_day date, to_day date, granularity text, granularities text[], dimension text, dimensions text[]
) returns void
language plpgsql immutable
set search_path = control, pg_temp
as $$
begin
    if not coalesce(granularity = any(granularities), false) then
        raise exception 'granularity is one of: %.', array_to_string(granularities, ', ')
            using errcode = 'invalid_parameter_value';
    elsif not coalesce(dimension = any(dimensions), false) then
        raise exception 'dimension is one of: %.', array_to_string(dimensions, ', ')
            using errcode = 'invalid_parameter_value';
    elsif not coalesce(isfinite(from_day) and isfinite(to_day) and from_day < to_day, false) then
        raise exception 'from_day and to_day are days, and to_day is the later one.'
            using errcode = 'invalid_parameter_value';
    elsif to_day > from_day + interval '5 years' then
        raise exception 'From from_day to to_day it is 5 years at most.' using errcode = 'invalid_parameter_value';
    end if;
end
$$;

-- ------------------------------------------------------------------ metric functions

create schema metrics;
comment on schema metrics is
    'functions that verify a tenant token and answer that tenant''s figures; pipeline.core.metrics deploys them';

-- ------------------------------------------------------------------ what is known of Metabase

create table control.dashboards (
    slug text primary key check (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    dashboard_id bigint not null unique check (dashboard_id > 0),
    title text not null,
    embedded boolean not null default false,
    spec_hash text not null,
    applied_at timestamptz not null default clock_timestamp()
);
comment on table control.dashboards is 'the dashboards that were applied; those that are embedded may be asked for';
comment on column control.dashboards.dashboard_id is 'what Metabase calls it';
comment on column control.dashboards.spec_hash is 'of what was applied';

create table control.metabase_state (
    only_row boolean primary key default true check (only_row),
    site_url text not null,
    secret_generation integer not null check (secret_generation > 0),
    next_generation integer check (next_generation > secret_generation),
    changed_at timestamptz not null default clock_timestamp()
);
comment on table control.metabase_state is 'one row once Metabase is set up, none before';
comment on column control.metabase_state.secret_generation is 'from which the embedding secret in use is derived';
comment on column control.metabase_state.next_generation is 'while it is being replaced: what Metabase is being given';

-- ------------------------------------------------------------------ grants

revoke all on function
    control.issue_tenant_token(text, integer), control.require_bearer(),
    control.require_metric_arguments(date, date, text, text[], text, text[])
    from public;
grant execute on function control.issue_tenant_token(text, integer) to workbench_api;
grant execute on function
    control.require_bearer(), control.require_metric_arguments(date, date, text, text[], text, text[])
    to workbench_reader;

-- Embedded dashboards reach the functions of this schema, and nothing else of ours.
revoke execute on function control.current_tenant() from workbench_embed;
grant usage on schema metrics to workbench_api, workbench_embed;
-- The owner of a function needs both.
grant usage, create on schema metrics to workbench_reader;

grant select on control.dashboards, control.metabase_state to workbench_api;
grant insert on control.audit_log to workbench_api;

-- Internal dashboards read the ledgers beside all tenants' marts. No row of an event is in them: samples of failing
-- rows stay with the stewards.
grant select (tenant_id, display_name, status, created_at, suspended_at) on control.tenants to workbench_bi;
grant select on control.promotions, control.promotion_tenants, control.promotion_checks, control.promotion_changes,
    control.ingest_ledger, control.landing_progress, control.stream_gaps to workbench_bi;
grant select (
    tenant_id, promotion_id, boundary, rule, severity, outcome, failing_rows
) on control.check_results to workbench_bi;
grant select on control.holds to workbench_bi;
