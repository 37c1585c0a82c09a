"""What of a published relation's security is left after publications, an ordinary one and a full refresh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import psycopg

from conformance.port import Answer, Answers, Relation
from conformance.scenario import Scenario, Trial

TENANTS = ("acme", "globex")

# Row security and policies; grants; options; the relation's identity.
FOUND = """
select
    c.relrowsecurity::text || c.relforcerowsecurity::text || coalesce((
        select
            string_agg(
                p.polname || p.polcmd::text || p.polroles::text || pg_get_expr(p.polqual, p.polrelid),
                ',' order by p.polname
            )
        from pg_policy as p
        where p.polrelid = c.oid
    ), ''),
    (select string_agg(a::text, ',' order by a::text) from unnest(c.relacl) as a),
    c.reloptions::text,
    c.oid::text
from pg_class as c where c.oid = to_regclass(%s)
"""
KINDS = ("row security and policies", "grants", "options", "OID")
HAS_ROW_SECURITY = "select relrowsecurity from pg_class where oid = to_regclass(%s)"

# Somebody's dashboard, made by hand on what is published.
DEPENDENT = """
create schema dashboards;
create view dashboards.daily as select tenant_id, day, sum(events) as events from {metrics} group by 1, 2;
"""
READ_DEPENDENT = "select coalesce(sum(events), 0)::bigint from dashboards.daily"

State = Mapping[str, tuple[str | None, ...]]


def _publish_under_watch(trial: Trial) -> Answers:
    trial.landing.add_tenants(TENANTS)
    trial.land(*TENANTS)
    trial.publish()
    with trial.database.connect_admin() as admin:
        admin.execute(DEPENDENT.format(metrics=trial.reading.metrics).encode())
        before = _state(trial, admin)
        walled = all(_has_row_security(admin, table) for table in trial.reading.tables)
    lost: dict[str, list[str]] = {kind: [] for kind in KINDS}
    dependent, sees = [], []
    for name, full_refresh in (("a publication", False), ("a full refresh", True)):
        trial.land(*TENANTS)
        trial.subject.publish(full_refresh=full_refresh)
        with trial.database.connect_admin() as admin:
            _compare(before, _state(trial, admin), lost, name)
            dependent.append(f"after {name} {_read_dependent(trial, admin)}")
        sees.append(f"after {name} {_read_as_tenant(trial)}")
    wall = "kept" if walled else "a materialized view can have neither"
    return [
        Answer(walled and not lost[KINDS[0]], _told(lost[KINDS[0]], wall)),
        Answer(not lost[KINDS[1]] and not lost[KINDS[2]], _told([*lost[KINDS[1]], *lost[KINDS[2]]], "kept")),
        Answer(all("its own rows" in one for one in sees), "; ".join(sees)),
        Answer(not lost[KINDS[3]] and all("current" in one for one in dependent), "; ".join(dependent)),
    ]


def _state(trial: Trial, admin: psycopg.Connection) -> State:
    relations = (*trial.reading.tables, trial.reading.own_metrics)
    rows = {str(relation): admin.execute(FOUND, (str(relation),)).fetchone() for relation in relations}
    return {name: row or ("gone",) * len(KINDS) for name, row in rows.items()}


def _has_row_security(admin: psycopg.Connection, relation: Relation) -> bool:
    return admin.execute(HAS_ROW_SECURITY, (str(relation),)).fetchone() == (True,)


def _compare(before: State, after: State, lost: Mapping[str, list[str]], when: str) -> None:
    for number, kind in enumerate(KINDS):
        names = [name.split(".")[1] for name in before if before[name][number] != after[name][number]]
        if names:
            lost[kind].append(f"{kind} of {', '.join(names)} changed by {when}")


def _read_dependent(trial: Trial, admin: psycopg.Connection) -> str:
    try:
        with admin.transaction():
            shown = admin.execute(READ_DEPENDENT.encode()).fetchall()[0][0]
    except psycopg.errors.UndefinedTable:
        return "a view on it is deleted"
    metrics = trial.totals()[1]
    return "a view on it is current" if shown == metrics else f"a view on it shows {shown:,} of {metrics:,} events"


def _read_as_tenant(trial: Trial) -> str:
    tenant = TENANTS[0]
    own = trial.facts_by_tenant()[tenant]
    query = f"select coalesce(sum(events), 0)::bigint from {trial.reading.own_metrics}"  # noqa: S608 - the subject's
    try:
        with trial.subject.as_tenant(tenant) as connection:
            seen = connection.execute(query.encode()).fetchall()[0][0]
    except psycopg.Error as error:
        return f"a tenant meets: {str(error).splitlines()[0]}"
    return "a tenant sees its own rows" if seen == own else f"a tenant sees {seen:,} events, {own:,} are its own"


def _told(lost: Sequence[str], kept: str) -> str:
    return "; ".join(lost) or kept


SECURITY = Scenario(
    name="security",
    promises=(
        "Row security and its policies stay",
        "Grants and view options stay",
        "A tenant sees its own rows, all of them and no others",
        "Relations stay the same ones (OID), and views on them work",
    ),
    run=_publish_under_watch,
)
