"""Reconciliation of an aggregate: what is published of a key, plus the new facts, is the candidate.

Aggregates are merged, not recomputed, so this is the one equation that holds for each of their
keys exactly, in any window, late events included. It costs one probe of the mart per touched key.
"""

from __future__ import annotations

from checks.rules import Rule, Table, no_rows

ALL_FACTS = "from candidate.fct_usage_events"

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
    select {grain}, count(*) as events
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


def events_add_up(table: Table, *, facts: str = ALL_FACTS, **renamed: str) -> Rule:
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
    return Rule(name=f"{table.name}_adds_up", severity="stop", why=WHY, expectation=no_rows(query))
