-- People: users, what they sign in with, their sign-in sessions, and failed attempts. Tenant data is none of
-- it. Run as workbench_owner.

create table control.users (
    user_id uuid primary key,
    email text not null unique
        check (length(email) <= 254 and email ~ '^[!-?A-~]+@[!-?A-~]+$' and email = lower(email)),
    role text not null check (role in ('analyst', 'steward', 'admin')),
    tenant_id text references control.tenants,
    status text not null default 'active' check (status in ('active', 'disabled')),
    password_hash text check (password_hash ~ '^\$argon2id\$'),
    oidc_issuer text,
    oidc_subject text,
    created_at timestamptz not null default now(),
    last_sign_in_at timestamptz,
    unique (oidc_issuer, oidc_subject),
    constraint an_analyst_alone_has_a_tenant check ((role = 'analyst') = (tenant_id is not null)),
    constraint an_identity_is_whole check (num_nulls(oidc_issuer, oidc_subject) in (0, 2))
);
create index users_by_tenant on control.users (tenant_id) where tenant_id is not null;
comment on table control.users is 'who may sign in to the notebooks, and as what';
comment on column control.users.email is 'in lower case and ASCII, so that no two are alike';
comment on column control.users.password_hash is 'null: signs in with OIDC alone';
comment on column control.users.oidc_subject is 'the identity of the first sign-in with OIDC; from then on no other';

create table control.user_sessions (
    token_hash bytea primary key check (length(token_hash) = 32),
    user_id uuid not null references control.users,
    created_at timestamptz not null,
    last_seen_at timestamptz not null,
    expires_at timestamptz not null,
    closed_at timestamptz,
    address text,
    client text not null default '' check (length(client) <= 200)
);
create index user_sessions_by_user on control.user_sessions (user_id);
comment on table control.user_sessions is 'sign-ins; a session is open until it is closed, expires or is not used';
comment on column control.user_sessions.token_hash is 'SHA-256 of the token, which is nowhere but in the cookie';
comment on column control.user_sessions.last_seen_at is 'to the minute';
comment on column control.user_sessions.client is 'what the browser calls itself';

create table control.failed_sign_ins (
    kind text not null check (kind in ('email', 'address')),
    subject_hash bytea not null check (length(subject_hash) = 32),
    failed_at timestamptz[] not null,
    last_failed_at timestamptz not null,
    primary key (kind, subject_hash)
);
create index failed_sign_ins_by_time on control.failed_sign_ins (last_failed_at);
comment on table control.failed_sign_ins is 'by what attempts are throttled; what is older than the window is removed';
comment on column control.failed_sign_ins.subject_hash is
    'SHA-256 of what was typed or of the address: people type passwords where the e-mail belongs';

-- However a tenant is suspended, its people are signed out, and stay so when it is resumed: then too, for the
-- sake of who signed in just as it was suspended.
create function control.sign_out_tenant() returns trigger
language plpgsql
set search_path = control, pg_temp
as $$
begin
    update control.user_sessions as s
    set closed_at = clock_timestamp()
    from control.users as u
    where u.user_id = s.user_id and u.tenant_id = new.tenant_id and s.closed_at is null;
    return null;
end
$$;
revoke all on function control.sign_out_tenant() from public;
create trigger signs_out after update of status on control.tenants
for each row when (old.status <> new.status)
execute function control.sign_out_tenant();

-- Sign-ins make the log long; what is done to a tenant's data is still read by tenant.
create index audit_log_by_tenant on control.audit_log (tenant_id, audit_id) where tenant_id is not null;

-- ------------------------------------------------------------------ grants

-- The notebook server: whom it lets in, and as which login a tenant is read. No tenant's data, no change of
-- who a user is, and of the audit log no more than to add to it.
grant usage on schema control to workbench_notebooks;
grant select on control.users to workbench_notebooks;
grant update (password_hash, oidc_issuer, oidc_subject, last_sign_in_at) on control.users to workbench_notebooks;
grant select, insert, delete on control.user_sessions to workbench_notebooks;
grant update (last_seen_at, closed_at) on control.user_sessions to workbench_notebooks;
grant select, insert, update, delete on control.failed_sign_ins to workbench_notebooks;
grant select (tenant_id, display_name, status) on control.tenants to workbench_notebooks;
grant select (tenant_id, role_name) on control.tenant_logins to workbench_notebooks;
grant insert on control.audit_log to workbench_notebooks;
