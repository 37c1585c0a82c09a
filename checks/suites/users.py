"""Users and what they did: the grain under every count of active users."""

from __future__ import annotations

from checks.patterns import complete, has_events, in_order, one_row_per_key, possible_count
from checks.reconciliation import ALL_FACTS, events_add_up
from checks.rules import Rule, Suite, Table, no_rows_where

USERS = Table(name="dim_users", key=("tenant_id", "user_id"))
ACTIVITY = Table(name="fct_user_activity", key=("tenant_id", "user_id", "active_on", "event_type"))

FACTS_OF_USERS = f"{ALL_FACTS} where user_id is not null"

NOT_ON_ITS_DAY = """
(first_at at time zone 'UTC')::date is distinct from active_on
or (last_at at time zone 'UTC')::date is distinct from active_on
"""

SUITES = (
    Suite(
        boundary="users",
        table=USERS,
        rules=(
            complete(
                USERS,
                *("first_seen_at", "last_seen_at", "events", "active_days"),
                why="A user without one of these cannot be counted, or never counts as gone.",
            ),
            one_row_per_key(USERS, why="A user who is there twice is counted, and billed, as two."),
            in_order(
                USERS,
                *("first_seen_at", "last_seen_at"),
                why="A user whose latest event lies before the earliest breaks retention and cohorts.",
            ),
            has_events(USERS),
            possible_count(USERS, "active_days", least=1),
            events_add_up(USERS, facts=FACTS_OF_USERS),
        ),
    ),
    Suite(
        boundary="users",
        table=ACTIVITY,
        rules=(
            complete(
                ACTIVITY,
                *("events", "first_at", "last_at"),
                why="Who was active when is looked up here: a gap makes known users new again.",
            ),
            one_row_per_key(ACTIVITY, why="Activity that is there twice counts one user as two."),
            in_order(
                ACTIVITY, "first_at", "last_at", why="Users and features would be seen last before they are first."
            ),
            Rule(
                name="activity_lies_on_its_day",
                severity="stop",
                why="Activity on the wrong day counts users on days on which they were not there.",
                expectation=no_rows_where(NOT_ON_ITS_DAY, show=["first_at", "last_at"]),
            ),
            has_events(ACTIVITY),
            events_add_up(ACTIVITY, facts=FACTS_OF_USERS, active_on="occurred_on"),
        ),
    ),
)
