-- The facts of pipeline.core.fingerprint, one line each.
with our_schemas as (
    select n.oid, n.nspname, n.nspowner, n.nspacl
    from pg_catalog.pg_namespace as n
    where
        n.nspname in (
            'raw', 'control', 'staging', 'intermediate', 'candidate', 'marts', 'journal', 'cache', 'analytics',
            'metrics', 'public'
        )
),

-- dbt rebuilds the relations of the other three schemas in every promotion.
lasting_relations as (
    select c.*, n.nspname || '.' || c.relname as full_name
    from pg_catalog.pg_class as c
    inner join our_schemas as n on n.oid = c.relnamespace
    where n.nspname not in ('staging', 'intermediate', 'candidate') and c.relkind not in ('i', 'I')
),

service_roles as (
    select r.* from pg_catalog.pg_roles as r where r.rolname like 'workbench\_%'
),

facts as (
    select 'schema' as kind, nspname as name,
        concat_ws(' ', nspowner::regrole, array(select a::text from unnest(nspacl) as a order by 1)) as detail
    from our_schemas

    union all
    select 'relation', full_name,
        concat_ws(
            ' ', relkind, relowner::regrole, 'rls', relrowsecurity, 'force', relforcerowsecurity, reloptions,
            array(select a::text from unnest(relacl) as a order by 1)
        )
    from lasting_relations

    union all
    select 'column grant', r.full_name || '.' || a.attname,
        array(select x::text from unnest(a.attacl) as x order by 1)::text
    from pg_catalog.pg_attribute as a
    inner join lasting_relations as r on r.oid = a.attrelid
    where a.attacl is not null and not a.attisdropped

    union all
    select 'view', full_name, md5(pg_catalog.pg_get_viewdef(oid))
    from lasting_relations
    where relkind in ('v', 'm')

    union all
    select 'policy', r.full_name || '.' || p.polname,
        concat_ws(
            ' ', p.polcmd, p.polpermissive, array(select x::regrole::text from unnest(p.polroles) as x order by 1),
            'using', pg_catalog.pg_get_expr(p.polqual, p.polrelid),
            'check', pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)
        )
    from pg_catalog.pg_policy as p
    inner join lasting_relations as r on r.oid = p.polrelid

    union all
    select 'index', r.full_name, pg_catalog.pg_get_indexdef(i.indexrelid)
    from pg_catalog.pg_index as i
    inner join lasting_relations as r on r.oid = i.indrelid

    union all
    select 'trigger', r.full_name || '.' || t.tgname, concat_ws(' ', t.tgenabled, pg_catalog.pg_get_triggerdef(t.oid))
    from pg_catalog.pg_trigger as t
    inner join lasting_relations as r on r.oid = t.tgrelid
    where not t.tgisinternal

    union all
    select 'rule', r.full_name || '.' || w.rulename, md5(pg_catalog.pg_get_ruledef(w.oid))
    from pg_catalog.pg_rewrite as w
    inner join lasting_relations as r on r.oid = w.ev_class

    union all
    select 'child table', r.full_name, i.inhrelid::regclass::text
    from pg_catalog.pg_inherits as i
    inner join lasting_relations as r on r.oid = i.inhparent

    union all
    select 'function', f.oid::regprocedure::text,
        concat_ws(
            ' ', f.proowner::regrole, f.prosecdef, f.provolatile, f.proconfig,
            md5(case when f.prokind = 'a' then f.prosrc else pg_catalog.pg_get_functiondef(f.oid) end),
            array(select a::text from unnest(f.proacl) as a order by 1)
        )
    from pg_catalog.pg_proc as f
    inner join our_schemas as n on n.oid = f.pronamespace

    union all
    select 'default grant', coalesce(d.defaclnamespace::regnamespace::text, ''),
        concat_ws(' ', d.defaclrole::regrole, d.defaclobjtype, array(select a::text from unnest(d.defaclacl) as a order by 1))
    from pg_catalog.pg_default_acl as d

    union all
    select 'database', '',
        array(select a::text from unnest(d.datacl) as a order by 1)::text
    from pg_catalog.pg_database as d
    where d.datname = current_database()

    union all
    select 'language', l.lanname, array(select a::text from unnest(l.lanacl) as a order by 1)::text
    from pg_catalog.pg_language as l

    union all
    select 'catalog functions open to PUBLIC', '',
        md5(string_agg(f.oid::regprocedure::text, ',' order by f.oid::regprocedure::text))
    from pg_catalog.pg_proc as f
    where
        f.pronamespace = 'pg_catalog'::regnamespace
        and (
            f.proacl is null
            or exists (select from aclexplode(f.proacl) as a where a.grantee = 0)
        )

    union all
    select 'extension', e.extname, e.extversion
    from pg_catalog.pg_extension as e

    union all
    select 'role', r.rolname,
        concat_ws(
            ' ', 'super', r.rolsuper, 'bypassrls', r.rolbypassrls, 'createrole', r.rolcreaterole,
            'createdb', r.rolcreatedb, 'replication', r.rolreplication, 'login', r.rolcanlogin,
            array(select x from unnest(r.rolconfig) as x order by 1)
        )
    from service_roles as r

    union all
    select 'membership', m.member::regrole::text, 'of ' || m.roleid::regrole::text
    from pg_catalog.pg_auth_members as m
    inner join service_roles as r on r.oid in (m.roleid, m.member)
    where m.roleid <> 'workbench_tenants'::regrole

    union all
    select 'tenant login out of bounds', r.rolname, 'has attributes or memberships beyond its group'
    from pg_catalog.pg_auth_members as m
    inner join pg_catalog.pg_roles as r on r.oid = m.member
    where
        m.roleid = 'workbench_tenants'::regrole
        and (
            r.rolsuper or r.rolbypassrls or r.rolcreaterole or r.rolcreatedb or r.rolreplication
            or m.admin_option
            or exists (select from pg_catalog.pg_auth_members as o where o.member = r.oid and o.roleid <> m.roleid)
        )
)

select kind || ' ' || name || ': ' || coalesce(detail, '-') from facts
