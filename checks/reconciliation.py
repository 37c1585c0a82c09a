"""Reconciliation of an aggregate: what is published of a key, plus the new facts, is the candidate.

Aggregates are merged, not recomputed, so this is the one equation that holds for each of their
keys exactly, in any window, late events included. It costs one probe of the mart per touched key,
and a scan of the facts for several aggregates together.
"""

from __future__ import annotations

from checks.rules import Rule, Table

ALL_FACTS = "from new_facts"
FACTS_BY_DAY = "from facts_by_day"
"""Of tenant, event_type and occurred_on only: fewer rows, for keys that are made of nothing else."""

# What of the facts the keys are made from, read once for all aggregates that share it.
SHARED = {
    "new_facts": """
        select tenant_id, user_id, session_id, event_type, occurred_on, 1 as events
        from candidate.fct_usage_events
    """,
    "facts_by_day": """
        select tenant_id, event_type, occurred_on, count(*)::int as events
        from candidate.fct_usage_events
        group by tenant_id, event_type, occurred_on
    """,
}

# A key of the candidate without a new fact was not to be touched, and one of the facts that the
# candidate lacks would be lost: the full join shows both. In a full refresh the candidate replaces
# what is published, so nothing is added to it.
EVENTS_DO_NOT_ADD_UP = """
select
    {key},
    aggregate.events,
    coalesce(published.events, 0) as published_events,
    coalesce(fact.events, 0) as new_events
from {{batch}} as aggregate
full join (
    select {grain}, sum(events) as events
    {facts}
    group by {grouping}
) as fact using ({key})
left join (
    select tenant_id as continued
    from control.promotion_tenants
    where promotion_id = current_setting('workbench.promotion')::bigint and not full_refresh
) as opened on opened.continued = aggregate.tenant_id
left join lateral (
    select mart.events
    from marts.{table} as mart
    where {probe}
    offset 0
) as published on true
where aggregate.events is distinct from coalesce(published.events, 0) + fact.events
"""

WHY = (
    "Published and new events do not add up to the candidate's: events would be lost or counted twice, and "
    "this mart would contradict the facts beside it."
)


def events_add_up(table: Table, *, facts: str = FACTS_BY_DAY, **renamed: str) -> Rule:
    """For each key of an aggregate, its events are those published and the new facts.

    `facts` is the from clause, and the condition, that gives the facts to count; `renamed` maps a
    column of the key to the column of the facts that it comes from.
    """
    grain = ", ".join(f"{renamed[name]} as {name}" if name in renamed else name for name in table.key)
    probe = ["mart.tenant_id = opened.continued", *(f"mart.{name} = aggregate.{name}" for name in table.key[1:])]
    query = EVENTS_DO_NOT_ADD_UP.format(
        table=table.name,
        key=", ".join(table.key),
        grain=grain,
        facts=facts,
        grouping=", ".join(str(position) for position in range(1, len(table.key) + 1)),
        probe=" and ".join(probe),
    )
    shared = {name: shared_query for name, shared_query in SHARED.items() if name in facts}
    return Rule(
        name=f"{table.name}_adds_up",
        severity="stop",
        why=WHY,
        expectation=lambda gx: gx.ExpectNoRows(unexpected_rows_query=query, shared=shared),
    )
