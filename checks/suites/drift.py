"""What a tenant's events are like, against its own past: clocks that run behind, users and types that change.

These are guesses from statistics, so they warn unless they are tuned to stop. The past is read by key: a
tenant's newest facts, and its features.
"""

from __future__ import annotations

from checks.reconciliation import SHARED as FACTS
from checks.rules import Rule, no_rows
from checks.suites.volume import SHARED
from checks.tunable import Parameter, Thresholds, Tunable, Tuned


def _enough(means: str, default: int = 100) -> Parameter:
    return Parameter(name="events", default=default, least=1, most=1_000_000_000, unit="events", means=means)


BEHIND = Tunable(
    rule="clock_is_not_behind",
    severity="warn",
    parameters=(
        Parameter(
            name="seconds",
            default=3600,
            least=60,
            most=24 * 3600,
            unit="seconds",
            means="how long after it happened even the freshest event may come",
        ),
        _enough("how many events there must be", 20),
    ),
)
POINTS = Parameter(
    name="points",
    default=20.0,
    least=1.0,
    most=100.0,
    unit="percentage points",
    means="by how much the share of events without it may grow",
)
UNKNOWN_USERS = Tunable(
    rule="user_share_is_usual",
    severity="warn",
    parameters=(POINTS, _enough("how many events there must be, new ones and published ones")),
)
UNKNOWN_SESSIONS = Tunable(
    rule="session_share_is_usual",
    severity="warn",
    parameters=(POINTS, _enough("how many events there must be, new ones and published ones")),
)
NEW_TYPES = Tunable(
    rule="event_types_are_known",
    severity="warn",
    parameters=(
        Parameter(
            name="share",
            default=0.5,
            least=0.01,
            most=1.0,
            unit="",
            means="how much of the new events may be of types that the tenant never had, from 0 to 1",
        ),
        _enough("how many events there must be, new ones and published ones"),
    ),
)
TUNABLE = (BEHIND, UNKNOWN_USERS, UNKNOWN_SESSIONS, NEW_TYPES)

# More than a day is no clock, but an import, of which another rule tells.
CLOCK_BEHIND = """
select tenant_id, sum(events) as events, min(least_lag) as freshest_after_seconds
from arrivals
where {applies}
group by tenant_id
having min(least_lag) > {seconds} and min(least_lag) <= 86400 and sum(events) >= {events}
"""

# Only of a tenant that has many without it are published facts looked at, and of those the newest.
LESS_KNOWN = """
select recent.tenant_id, recent.events, recent.share as share_without, published.share as share_before
from (
    select tenant_id, sum(events) as events, sum({without}) / sum(events) as share
    from arrivals
    where {applies}
    group by tenant_id
    having sum(events) >= {events} and sum({without}) / sum(events) > {points} / 100
) as recent
inner join control.promotion_tenants as opened on opened.tenant_id = recent.tenant_id
cross join lateral (
    select count(*) as events, avg(({column} is null)::int) as share
    from (
        select fact.{column}
        from marts.fct_usage_events as fact
        where fact.tenant_id = recent.tenant_id
        order by fact.occurred_at desc
        limit 200
    ) as newest
) as published
where
    opened.promotion_id = current_setting('workbench.promotion')::bigint
    and not opened.full_refresh
    and published.events >= least({of_tenant}, 200)
    and recent.share - published.share > {points_of_tenant} / 100
"""

# Great Expectations wants every query to read the table.
NEVER_HAD = """
select fresh.tenant_id, fresh.event_type, fresh.events, fresh.all_events
from (
    select
        by_type.tenant_id,
        by_type.event_type,
        by_type.events,
        published.event_type is null as is_new,
        sum(by_type.events) over (partition by by_type.tenant_id) as all_events,
        sum(by_type.events) filter (where published.event_type is null)
            over (partition by by_type.tenant_id) as new_events
    from (
        select tenant_id, event_type, sum(events) as events from facts_by_day group by tenant_id, event_type
    ) as by_type
    inner join control.promotion_tenants as opened on opened.tenant_id = by_type.tenant_id
    inner join marts.dim_tenants as tenant on tenant.tenant_id = by_type.tenant_id
    left join lateral (
        select mart.event_type
        from marts.feature_adoption as mart
        where mart.tenant_id = by_type.tenant_id and mart.event_type = by_type.event_type
        offset 0
    ) as published on true
    where
        opened.promotion_id = current_setting('workbench.promotion')::bigint
        and not opened.full_refresh
        and {applies}
        and tenant.events >= {events}
        and exists (select from {{batch}})
) as fresh
where fresh.is_new and fresh.all_events >= {of_tenant} and fresh.new_events > {share} * fresh.all_events
"""


def rules(thresholds: Thresholds) -> tuple[Rule, ...]:
    """The rules, tuned; of the table of facts."""
    return (
        _clock(thresholds.of(BEHIND)),
        _known(
            thresholds.of(UNKNOWN_USERS),
            "user",
            "Far more events without a user than before: active users would fall without anybody having left.",
        ),
        _known(
            thresholds.of(UNKNOWN_SESSIONS),
            "session",
            "Far more events outside of sessions than before: visits would fall without anybody having left.",
        ),
        _types(thresholds.of(NEW_TYPES)),
    )


def _clock(tuned: Tuned) -> Rule:
    query = CLOCK_BEHIND.format(applies=tuned.applies(), seconds=tuned.sql("seconds"), events=tuned.sql("events"))
    why = (
        "Even the freshest event came long after it happened: the sender's clock is behind, or it holds events back. "
        "Usage shows in the wrong hour, and around midnight on the wrong day."
    )
    return tuned.rule(why, no_rows(query, shared=SHARED))


def _known(tuned: Tuned, what: str, why: str) -> Rule:
    query = LESS_KNOWN.format(
        without=f"without_{what}",
        column=f"{what}_id",
        applies=tuned.applies(),
        events=tuned.sql("events"),
        points=tuned.sql("points"),
        of_tenant=tuned.sql("events", "recent.tenant_id"),
        points_of_tenant=tuned.sql("points", "recent.tenant_id"),
    )
    return tuned.rule(why, no_rows(query, shared=SHARED))


def _types(tuned: Tuned) -> Rule:
    query = NEVER_HAD.format(
        applies=tuned.applies("by_type.tenant_id"),
        events=tuned.sql("events", "by_type.tenant_id"),
        of_tenant=tuned.sql("events", "fresh.tenant_id"),
        share=tuned.sql("share", "fresh.tenant_id"),
    )
    why = (
        "A large part of the events is of types that the tenant never had: something was renamed at the sender, or "
        "sends for the wrong tenant, and the figures of the old types break off."
    )
    return tuned.rule(why, no_rows(query, shared={"facts_by_day": FACTS["facts_by_day"]}))
