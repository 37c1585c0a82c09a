-- What only an administrator may settle: default privileges of a service role, and what PUBLIC may
-- do in this database. Run as the administrator, after the kernel; idempotent.

-- The gate and the publisher read what dbt builds; nobody else does.
alter default privileges for role workbench_transformer in schema candidate
    grant select on tables to workbench_publisher, workbench_steward;

-- Who may enter, and who may create temporary tables.
do $$
begin
    execute format('revoke all on database %I from public', current_database());
    execute format('grant create on database %I to workbench_owner', current_database());
    execute format(
        'grant connect on database %I to workbench_lander, workbench_transformer, workbench_publisher, '
        'workbench_api, workbench_steward, workbench_bi, workbench_embed, workbench_notebooks, workbench_tenants',
        current_database()
    );
    execute format(
        'grant temporary on database %I to workbench_lander, workbench_transformer, workbench_publisher',
        current_database()
    );
end
$$;
revoke all on schema public from public;

-- Functions through which a tenant could change its session's identity or settings inside one
-- SELECT, run hidden SQL, signal other sessions, hold the platform's locks, fill the disk or the
-- log, or measure other tenants. A volatile function is closed unless it is known to be harmless,
-- so that what a later server adds is closed too; the stable ones are named. Where the
-- administrator is no superuser they stay as they are, and "workbench doctor" tells it.
do $$
declare
    signature regprocedure;
begin
    if not (select r.rolsuper from pg_roles as r where r.rolname = current_user) then
        raise warning 'catalog functions and languages stay open to PUBLIC: only a superuser can close them';
        return;
    end if;
    for signature in
        select p.oid::regprocedure
        from pg_proc as p
        where
            p.pronamespace = 'pg_catalog'::regnamespace
            and p.prokind in ('f', 'p')
            and (
                (
                    p.provolatile = 'v'
                    and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype, 'internal'::regtype)
                    and p.proname not in (
                        'array_sample', 'array_shuffle', 'clock_timestamp', 'current_query', 'gen_random_uuid',
                        'pg_is_in_recovery', 'pg_sleep', 'pg_sleep_for', 'pg_sleep_until', 'random',
                        'random_normal', 'setseed', 'timeofday', 'uuidv4', 'uuidv7'
                    )
                )
                or p.proname in (
                    'pg_relation_filepath', 'pg_relation_filenode', 'pg_sequence_parameters', 'pg_cursor',
                    'pg_get_process_memory_contexts', 'pg_mcv_list_items'
                )
                or p.proname ~ '^(txid_current|pg_current_xact_id|pg_current_snapshot|pg_stat_get_|pg_stats_ext)'
                or p.proname ~ '_to_xml(schema|_and_xmlschema)?$'
            )
    loop
        execute format('revoke execute on function %s from public', signature);
    end loop;
    grant execute on function pg_catalog.set_config(text, text, boolean)
        to workbench_owner, workbench_lander, workbench_transformer, workbench_publisher, workbench_api,
        workbench_reader;
    -- Earlier releases let it; the metric functions, which the reader owns, set what is to be set.
    revoke execute on function pg_catalog.set_config(text, text, boolean) from workbench_embed;
    grant execute on function pg_catalog.pg_current_xact_id(), pg_catalog.pg_current_snapshot()
        to workbench_owner, workbench_lander, workbench_publisher;
    -- A lander ends the session of another one that was stopped in the middle of its COPY.
    grant execute on function pg_catalog.pg_stat_get_activity(integer), pg_catalog.pg_terminate_backend(integer, bigint)
        to workbench_lander;
    grant execute on function pg_catalog.pg_try_advisory_lock(bigint), pg_catalog.pg_advisory_unlock(bigint)
        to workbench_publisher;
    revoke usage on language sql, plpgsql from public;
    grant usage on language sql, plpgsql to workbench_owner, workbench_transformer;
end
$$;
