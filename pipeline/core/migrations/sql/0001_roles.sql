-- Service roles, cluster-wide. Run as a role with CREATEROLE; idempotent, since databases of one
-- cluster share roles. Logins get their passwords afterwards (pipeline.core.roles), never here.
do $$
declare
    role_name text;
begin
    foreach role_name in array array[
        'workbench_owner',    -- owns every object; nobody logs in as it
        'workbench_reader',   -- owns the views of "analytics", itself under the forced policies of "marts"
        'workbench_tenants'   -- group of all tenant logins
    ] loop
        if not exists (select from pg_roles where rolname = role_name) then
            execute format('create role %I nologin', role_name);
        end if;
    end loop;
    foreach role_name in array array[
        'workbench_lander',      -- batch -> raw
        'workbench_transformer', -- dbt: raw -> candidate
        'workbench_publisher',   -- judges candidates, publishes marts, records promotions
        'workbench_api',         -- looks API keys up
        'workbench_steward',     -- reads control, dead letters and all marts
        'workbench_bi',          -- internal dashboards: reads all tenants' marts
        'workbench_embed',       -- embedded dashboards: nothing but what a signed token opens
        'workbench_notebooks'    -- the notebook server: users, sign-in sessions, which login is which tenant
    ] loop
        if not exists (select from pg_roles where rolname = role_name) then
            execute format('create role %I login', role_name);
        end if;
    end loop;
    -- An administrator that is no superuser acts as these by being a member of them.
    if not (select r.rolsuper from pg_roles as r where r.rolname = current_user) then
        grant workbench_owner, workbench_reader, workbench_transformer, workbench_publisher to current_user;
    end if;
end
$$;
