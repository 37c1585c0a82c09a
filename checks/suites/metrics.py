"""Metrics: what customers see and pay for. Each figure possible by itself, and in step with the facts."""

from __future__ import annotations

from checks.patterns import complete, has_events, in_order, one_row_per_key, possible_count
from checks.reconciliation import FACTS_BY_DAY, events_add_up
from checks.rules import Rule, Suite, Table, no_rows, no_rows_where

TENANTS = Table(name="dim_tenants", key=("tenant_id",))
USAGE = Table(name="tenant_usage_metrics", key=("tenant_id", "day", "event_type"))
ACTIVE = Table(name="active_users", key=("tenant_id", "period", "period_start"))
ADOPTION = Table(name="feature_adoption", key=("tenant_id", "event_type"))

FACTS_BY_PERIOD = f"""
{FACTS_BY_DAY}
cross join lateral (
    values
    ('day', occurred_on),
    ('week', date_trunc('week', occurred_on::timestamp)::date),
    ('month', date_trunc('month', occurred_on::timestamp)::date)
) as calendar (period, period_start)
"""

NOT_A_FIRST_DAY = """
period in ('week', 'month') and period_start is distinct from date_trunc(period, period_start::timestamp)::date
"""

# A touched day touches its week and its month, so the candidate has both beside it.
BUSIER_THAN_ITS_PERIOD = """
select
    daily.tenant_id,
    daily.period_start as day,
    daily.active_users as active_on_day,
    calendar.period,
    calendar.period_start,
    longer.active_users
from {batch} as daily
cross join lateral (
    values
    ('week', date_trunc('week', daily.period_start::timestamp)::date),
    ('month', date_trunc('month', daily.period_start::timestamp)::date)
) as calendar (period, period_start)
left join candidate.active_users as longer
    on
        longer.tenant_id = daily.tenant_id
        and longer.period = calendar.period
        and longer.period_start = calendar.period_start
where daily.period = 'day' and (daily.active_users <= longer.active_users) is not true
"""

# Whatever of a tenant was touched, its row in dim_tenants was touched too.
MORE_THAN_ALL_USERS = """
select {key}, counted.{count}, tenant.users
from {{batch}} as counted
left join candidate.dim_tenants as tenant on tenant.tenant_id = counted.tenant_id
where (counted.{count} <= tenant.users) is not true
"""


def _at_most_all_users(table: Table, count: str) -> Rule:
    key = ", ".join(f"counted.{column}" for column in table.key)
    return Rule(
        name=f"{table.name}_has_at_most_all_users",
        severity="stop",
        why="A part has more users than the whole: somebody was counted twice there, or is missing here.",
        expectation=no_rows(MORE_THAN_ALL_USERS.format(key=key, count=count)),
    )


SUITES = (
    Suite(
        boundary="metrics",
        table=TENANTS,
        rules=(
            complete(
                TENANTS,
                *("display_name", "first_event_at", "last_event_at", "events", "users", "sessions"),
                why="The tenant's totals would show as unknown.",
            ),
            one_row_per_key(TENANTS, why="A tenant that is there twice doubles its totals."),
            in_order(
                TENANTS, "first_event_at", "last_event_at", why="The tenant's history would end before it begins."
            ),
            has_events(TENANTS),
            possible_count(TENANTS, "users"),
            possible_count(TENANTS, "sessions"),
            events_add_up(TENANTS),
        ),
    ),
    Suite(
        boundary="metrics",
        table=USAGE,
        rules=(
            complete(USAGE, "events", "active_users", why="Usage of unknown day, type or size cannot be billed."),
            one_row_per_key(USAGE, why="Usage that is there twice is billed twice."),
            has_events(USAGE),
            possible_count(USAGE, "active_users"),
            _at_most_all_users(USAGE, "active_users"),
            events_add_up(USAGE, day="occurred_on"),
        ),
    ),
    Suite(
        boundary="metrics",
        table=ACTIVE,
        rules=(
            complete(ACTIVE, "events", "active_users", why="Active users of an unknown period are no figure."),
            one_row_per_key(ACTIVE, why="A period that is there twice shows two figures for one."),
            Rule(
                name="periods_are_days_weeks_and_months",
                severity="stop",
                why="A period of another kind shows nowhere, and its users are missed.",
                expectation=lambda gx: gx.ExpectColumnValuesToBeInSet(
                    column="period", value_set=["day", "week", "month"]
                ),
            ),
            Rule(
                name="periods_start_on_their_first_day",
                severity="stop",
                why="A week that starts on a Tuesday, or a month on its second, splits its users over two figures.",
                expectation=no_rows_where(NOT_A_FIRST_DAY, show=[]),
            ),
            has_events(ACTIVE),
            possible_count(ACTIVE, "active_users"),
            Rule(
                name="no_day_is_busier_than_its_week_and_month",
                severity="stop",
                why="Whoever is active on a day is active in its week and its month: somebody was missed there.",
                expectation=no_rows(BUSIER_THAN_ITS_PERIOD),
            ),
            _at_most_all_users(ACTIVE, "active_users"),
            events_add_up(ACTIVE, facts=FACTS_BY_PERIOD),
        ),
    ),
    Suite(
        boundary="metrics",
        table=ADOPTION,
        rules=(
            complete(
                ADOPTION,
                *("adopters", "events", "first_used_at", "last_used_at"),
                why="Adoption of an unknown feature, or by an unknown number, is no figure.",
            ),
            one_row_per_key(ADOPTION, why="A feature that is there twice is ranked against itself."),
            in_order(
                ADOPTION, "first_used_at", "last_used_at", why="The feature would be used last before it is first."
            ),
            has_events(ADOPTION),
            possible_count(ADOPTION, "adopters"),
            _at_most_all_users(ADOPTION, "adopters"),
            events_add_up(ADOPTION),
        ),
    ),
)
