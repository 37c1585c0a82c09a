"""A bad row for each rule, and a null for each column that must not be null; each in a tenant of its own."""

from __future__ import annotations

from checks.suites import SUITES, drift, freshness, raw_to_facts, volume

# Sent wrong, and built faithfully from that: nothing but the rule itself may notice.
SENT: dict[str, str] = {
    "clock_is_not_ahead": """
        update raw.usage_events set received_at = occurred_at - interval '3601 seconds'
        where tenant_id = %(tenant)s and user_id = 'u3'""",
    "clock_was_set": """
        update raw.usage_events
        set occurred_at = '1970-01-01 00:10Z', received_at = '1970-01-01 00:10Z', session_id = null
        where tenant_id = %(tenant)s and user_id = 'u3'""",
    "event_is_not_late": """
        update raw.usage_events set received_at = occurred_at + interval '30 days 1 second'
        where tenant_id = %(tenant)s and user_id = 'u3'""",
    "event_type_is_a_name": """
        update raw.usage_events set event_type = 'Page View' where tenant_id = %(tenant)s and user_id = 'u3'""",
    "user_is_not_blank": """
        update raw.usage_events set user_id = '' where tenant_id = %(tenant)s and user_id = 'u3'""",
    "session_is_not_blank": """
        update raw.usage_events set session_id = '' where tenant_id = %(tenant)s and user_id = 'u3'""",
    "visits_are_not_endless": """
        update raw.usage_events
        set occurred_at = '2026-03-11 00:00Z', received_at = '2026-03-11 00:00Z', session_id = 's2'
        where tenant_id = %(tenant)s and user_id is null""",
}

# What needs a register of tenants or a past: test_own_past.py.
ELSEWHERE = {
    tunable.rule
    for tunable in (*drift.TUNABLE, *volume.TUNABLE, *freshness.TUNABLE, raw_to_facts.UNPLANNED, raw_to_facts.EARLY)
}

# Built wrong.
BUILT: tuple[tuple[str, str, str], ...] = (
    ("facts_are_as_landed", "fct_usage_events", """properties = '{"path": "/forged"}'"""),
    ("lag_is_from_happening_to_receipt", "fct_usage_events", "lag_seconds = lag_seconds + 1"),
    ("day_is_the_utc_day", "fct_usage_events", "occurred_on = occurred_on + 1"),
    ("fct_sessions_is_in_order", "fct_sessions", "ended_at = started_at - interval '1 second'"),
    ("duration_is_from_start_to_end", "fct_sessions", "duration_seconds = duration_seconds + 1"),
    ("dim_users_is_in_order", "dim_users", "last_seen_at = first_seen_at - interval '1 second'"),
    ("dim_users_active_days_is_possible", "dim_users", "active_days = 0"),
    ("fct_user_activity_is_in_order", "fct_user_activity", "first_at = last_at + interval '1 second'"),
    ("activity_lies_on_its_day", "fct_user_activity", "last_at = last_at + interval '1 day'"),
    ("dim_tenants_is_in_order", "dim_tenants", "first_event_at = last_event_at + interval '1 second'"),
    ("dim_tenants_users_is_possible", "dim_tenants", "users = events + 1"),
    ("dim_tenants_sessions_is_possible", "dim_tenants", "sessions = -1"),
    ("tenant_usage_metrics_active_users_is_possible", "tenant_usage_metrics", "active_users = -1"),
    ("tenant_usage_metrics_has_at_most_all_users", "tenant_usage_metrics", "active_users = 4"),
    ("periods_are_days_weeks_and_months", "active_users", "period = 'quarter'"),
    ("periods_start_on_their_first_day", "active_users", "period_start = period_start + 1"),
    ("active_users_active_users_is_possible", "active_users", "active_users = events + 1"),
    ("active_users_has_at_most_all_users", "active_users", "active_users = 4"),
    (
        "no_day_is_busier_than_its_week_and_month",
        "active_users",
        "active_users = least(active_users, (period <> 'week')::int + 1)",
    ),
    ("feature_adoption_is_in_order", "feature_adoption", "first_used_at = last_used_at + interval '1 second'"),
    ("feature_adoption_adopters_is_possible", "feature_adoption", "adopters = -1"),
    ("feature_adoption_has_at_most_all_users", "feature_adoption", "adopters = 4"),
)

# What may be null: nobody is known, or it happened outside of sessions.
OPTIONAL = {("fct_usage_events", "user_id"), ("fct_usage_events", "session_id"), ("fct_sessions", "user_id")}

CHANGE = "update candidate.{table} set {change} where tenant_id = %(tenant)s"
LOSE = """
delete from candidate.{table} where ctid in (select ctid from candidate.{table} where tenant_id = %(tenant)s limit 1)
"""
REPEAT = "insert into candidate.{table} select * from candidate.{table} where tenant_id = %(tenant)s limit 1"

COLUMNS = """
select table_name, column_name from information_schema.columns
where table_schema = 'marts' and table_name = any(%s) and column_name <> 'tenant_id'
"""


def built() -> dict[str, str]:
    """For each rule that a wrong build breaks, the statement that breaks it for one tenant."""
    statements = {rule: CHANGE.format(table=table, change=change) for rule, table, change in BUILT}
    statements["as_many_facts_as_landed_rows"] = (
        "delete from candidate.fct_usage_events where tenant_id = %(tenant)s and user_id = 'u3'"
    )
    tables = [suite.table.name for suite in SUITES]
    statements |= {f"{table}_has_one_row_per_key": REPEAT.format(table=table) for table in tables}
    for table in tables[1:]:
        statements[f"{table}_has_events"] = CHANGE.format(table=table, change="events = 0")
        statements[f"{table}_adds_up"] = CHANGE.format(table=table, change="events = events + 1")
    return statements
