"""From what was landed to the facts: nothing lost, nothing added, nothing changed, and fit to count."""

from __future__ import annotations

from checks.patterns import complete, one_row_per_key
from checks.rules import Rule, Suite, Table, no_rows, no_rows_where
from checks.suites.drift import TUNABLE as DRIFT
from checks.suites.drift import rules as drift
from checks.suites.freshness import TUNABLE as FRESHNESS
from checks.suites.freshness import rules as freshness
from checks.suites.volume import TUNABLE as VOLUME
from checks.suites.volume import rules as volume
from checks.tunable import Parameter, Thresholds, Tunable

FACTS = Table(name="fct_usage_events", key=("tenant_id", "event_id"))

CLOCK_TOLERANCE_SECONDS = 3600
"""How far a sender's clock may be ahead, unless it is tuned."""

AHEAD = Tunable(
    rule="clock_is_not_ahead",
    severity="stop",
    parameters=(
        Parameter(
            name="seconds",
            default=CLOCK_TOLERANCE_SECONDS,
            least=0,
            most=31 * 24 * 3600,
            unit="seconds",
            means="how far the clock may be ahead",
        ),
    ),
)
UNSET = Tunable(rule="clock_was_set", severity="warn")
LATE = Tunable(
    rule="event_is_not_late",
    severity="warn",
    parameters=(
        Parameter(
            name="days",
            default=30,
            least=1,
            most=36_500,
            unit="days",
            means="how long after it happened an event may come",
        ),
    ),
)
UNPLANNED = Tunable(rule="event_type_is_in_the_plan", severity="stop")
EARLY = Tunable(
    rule="event_is_not_before_the_tenant",
    severity="warn",
    parameters=(
        Parameter(
            name="days",
            default=3650,
            least=0,
            most=36_500,
            unit="days",
            means="how long before the tenant was added an event may have happened",
        ),
    ),
)
TUNABLE = (AHEAD, UNSET, LATE, UNPLANNED, EARLY, *DRIFT, *VOLUME, *FRESHNESS)

# The window is read as dbt reads it: an index probe per tenant, never a scan of all that was landed.
NOT_AS_LANDED = """
select
    coalesce(landed.tenant_id, fact.tenant_id) as tenant_id,
    coalesce(landed.event_id, fact.event_id) as event_id,
    case
        when fact.event_id is null then 'landed, but not in the facts'
        when landed.event_id is null then 'in the facts, but not landed in this window'
        else 'not as it was landed: ' || concat_ws(
            ', ',
            case when fact.event_type is distinct from landed.event_type then 'event_type' end,
            case when fact.occurred_at is distinct from landed.occurred_at then 'occurred_at' end,
            case when fact.received_at is distinct from landed.received_at then 'received_at' end,
            case when fact.user_id is distinct from landed.user_id then 'user_id' end,
            case when fact.session_id is distinct from landed.session_id then 'session_id' end,
            case when fact.properties is distinct from landed.properties then 'properties' end
        )
    end as difference
from {batch} as fact
full join (
    select events.*
    from control.promotions as promotion
    inner join control.promotion_tenants as opened using (promotion_id)
    cross join lateral (
        select event.*
        from raw.countable_events as event
        where
            event.tenant_id = opened.tenant_id
            and event.landed_xid >= opened.from_xid
            and event.landed_xid < promotion.bound_xid
        offset 0
    ) as events
    where promotion.promotion_id = current_setting('workbench.promotion')::bigint
) as landed on landed.tenant_id = fact.tenant_id and landed.event_id = fact.event_id
where
    fact.event_id is null
    or landed.event_id is null
    or (fact.event_type, fact.occurred_at, fact.received_at, fact.user_id, fact.session_id, fact.properties)
    is distinct from (
        landed.event_type, landed.occurred_at, landed.received_at, landed.user_id, landed.session_id,
        landed.properties
    )
"""

# The floor on rows: a check of rows has nothing to say about rows that are not there.
NOT_AS_MANY = """
select opened.tenant_id, opened.raw_rows, count(fact.tenant_id) as fact_rows
from control.promotion_tenants as opened
left join {batch} as fact on fact.tenant_id = opened.tenant_id
where opened.promotion_id = current_setting('workbench.promotion')::bigint
group by opened.tenant_id, opened.raw_rows
having count(fact.tenant_id) <> opened.raw_rows
"""

NEVER_SET = "(occurred_at >= timestamptz '2000-01-01 00:00Z') is not true"
WRONG_LAG = """
(abs(lag_seconds - extract(epoch from received_at - occurred_at)::double precision) < 0.001) is not true
"""
WRONG_DAY = "occurred_on is distinct from (occurred_at at time zone 'UTC')::date"

# A full refresh repeats what is published. A plan that was cut since does not make it wrong.
NOT_IN_THE_PLAN = """
select fact.tenant_id, fact.event_id, fact.event_type, fact.occurred_at
from {{batch}} as fact
inner join control.tenants as tenant on tenant.tenant_id = fact.tenant_id and tenant.event_types is not null
left join control.promotion_tenants as opened
    on
        opened.tenant_id = fact.tenant_id
        and opened.promotion_id = current_setting('workbench.promotion')::bigint
where
    fact.event_type <> all (tenant.event_types)
    and {applies}
    and not (
        coalesce(opened.full_refresh, false)
        and exists (
            select from marts.feature_adoption as published
            where published.tenant_id = fact.tenant_id and published.event_type = fact.event_type
        )
    )
"""

BEFORE_THE_TENANT = """
select fact.tenant_id, fact.event_id, fact.occurred_at, tenant.created_at
from {{batch}} as fact
inner join control.tenants as tenant on tenant.tenant_id = fact.tenant_id
where fact.occurred_at < tenant.created_at - make_interval(secs => 86400 * {days}) and {applies}
"""


RULES = (
    Rule(
        name="as_many_facts_as_landed_rows",
        severity="stop",
        why="There are more or fewer facts than rows that the promotion took up: usage is lost or invented.",
        expectation=no_rows(NOT_AS_MANY),
    ),
    Rule(
        name="facts_are_as_landed",
        severity="stop",
        why="A fact is a landed event of this window, as it was sent; anything else is not the tenant's usage.",
        expectation=no_rows(NOT_AS_LANDED),
    ),
    complete(
        FACTS,
        *("event_type", "occurred_at", "occurred_on", "received_at", "lag_seconds", "properties"),
        why="A fact without one of these falls out of the metrics without a trace.",
    ),
    one_row_per_key(FACTS, why="An event that is there twice would be counted, and billed, twice."),
    Rule(
        name="lag_is_from_happening_to_receipt",
        severity="stop",
        why="The check on clocks reads the lag; a wrong lag would hide a wrong clock.",
        expectation=no_rows_where(WRONG_LAG, show=["lag_seconds", "occurred_at", "received_at"]),
    ),
    Rule(
        name="day_is_the_utc_day",
        severity="stop",
        why="A fact on the wrong day moves usage between days, and over a month's end between invoices.",
        expectation=no_rows_where(WRONG_DAY, show=["occurred_on", "occurred_at"]),
    ),
    Rule(
        name="event_type_is_a_name",
        severity="stop",
        why="A type that is no lower-case dotted name would become a feature of its own in every metric.",
        expectation=lambda gx: gx.ExpectColumnValuesToMatchRegex(
            column="event_type", regex=r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$"
        ),
    ),
    Rule(
        name="user_is_not_blank",
        severity="stop",
        why="All events with a blank user would count as one very busy user; nobody known is null.",
        expectation=lambda gx: gx.ExpectColumnValueLengthsToBeBetween(column="user_id", min_value=1),
    ),
    Rule(
        name="session_is_not_blank",
        severity="stop",
        why="All events with a blank session would become one endless visit; outside of sessions is null.",
        expectation=lambda gx: gx.ExpectColumnValueLengthsToBeBetween(column="session_id", min_value=1),
    ),
)
"""What is not tuned."""


def suites(thresholds: Thresholds) -> tuple[Suite, ...]:
    """The suites of this boundary, tuned."""
    rules = (
        *RULES,
        *_clocks(thresholds),
        *_of_the_tenant(thresholds),
        *drift(thresholds),
        *volume(thresholds),
        *freshness(thresholds),
    )
    return (Suite(boundary="raw_to_facts", table=FACTS, rules=rules),)


def _clocks(thresholds: Thresholds) -> tuple[Rule, ...]:
    """What the times of a single event say of the sender's clock."""
    ahead, unset, late = thresholds.of(AHEAD), thresholds.of(UNSET), thresholds.of(LATE)
    return (
        ahead.rule(
            "The sender's clock is further ahead than is tolerated: usage would show on days that have not "
            "come, and stay there once the clock is set right.",
            no_rows_where(f"lag_seconds < - {ahead.sql('seconds')} and {ahead.applies()}", show=["lag_seconds"]),
        ),
        unset.rule(
            "The event claims a time before the year 2000, as a device does whose clock was never set; it "
            "makes the tenant's history begin there.",
            no_rows_where(f"{NEVER_SET} and {unset.applies()}", show=["occurred_at"]),
        ),
        late.rule(
            "The event comes long after it happened. An import of history does that, or a sender that was "
            "stuck: figures of days that were long settled change.",
            no_rows_where(
                f"lag_seconds > 86400 * {late.sql('days')} and {late.applies()}",
                show=["occurred_at", "received_at"],
            ),
        ),
    )


def _of_the_tenant(thresholds: Thresholds) -> tuple[Rule, ...]:
    """What the register of tenants says of the events."""
    unplanned, early = thresholds.of(UNPLANNED), thresholds.of(EARLY)
    tenant = "fact.tenant_id"
    return (
        unplanned.rule(
            "The tenant's plan does not have this event type: the sender uses what was not agreed, and it would "
            "show, and be billed, as a feature of its own.",
            no_rows(NOT_IN_THE_PLAN.format(applies=unplanned.applies(tenant))),
        ),
        early.rule(
            "The event happened long before the tenant was added. An import of history is fine; else the sender's "
            "clock is wrong, or the events are somebody else's.",
            no_rows(BEFORE_THE_TENANT.format(applies=early.applies(tenant), days=early.sql("days", tenant))),
        ),
    )
