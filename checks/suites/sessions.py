"""Sessions: visits that make sense by themselves and add up with the facts."""

from __future__ import annotations

from checks.patterns import complete, has_events, in_order, one_row_per_key
from checks.reconciliation import ALL_FACTS, events_add_up
from checks.rules import Rule, Suite, Table, no_rows_where
from checks.tunable import Parameter, Thresholds, Tunable

SESSIONS = Table(name="fct_sessions", key=("tenant_id", "session_id"))

ENDLESS = Tunable(
    rule="visits_are_not_endless",
    severity="warn",
    parameters=(
        Parameter(name="days", default=7.0, least=0.01, most=36_500, unit="days", means="how long a visit may last"),
    ),
)
TUNABLE = (ENDLESS,)

WRONG_DURATION = """
(abs(duration_seconds - extract(epoch from ended_at - started_at)::double precision) < 0.001) is not true
"""


def suites(thresholds: Thresholds) -> tuple[Suite, ...]:
    """The suites of this boundary, tuned."""
    endless = thresholds.of(ENDLESS)
    return (
        Suite(
            boundary="sessions",
            table=SESSIONS,
            rules=(
                complete(
                    SESSIONS,
                    *("started_at", "ended_at", "duration_seconds", "events"),
                    why="A visit without one of these cannot be placed in time or counted.",
                ),
                one_row_per_key(SESSIONS, why="A visit that is there twice doubles visits, and halves their length."),
                in_order(
                    SESSIONS,
                    *("started_at", "ended_at"),
                    why="A visit that ends before it starts has a negative length and spoils every average.",
                ),
                Rule(
                    name="duration_is_from_start_to_end",
                    severity="stop",
                    why="Lengths of visits would not agree with the times that are shown beside them.",
                    expectation=no_rows_where(WRONG_DURATION, show=["duration_seconds", "started_at", "ended_at"]),
                ),
                endless.rule(
                    "A visit that lasts for days is most likely a session id that the sender uses again and again.",
                    no_rows_where(
                        f"duration_seconds > 86400 * {endless.sql('days')} and {endless.applies()}",
                        show=["duration_seconds"],
                    ),
                ),
                has_events(SESSIONS),
                events_add_up(SESSIONS, facts=f"{ALL_FACTS} where session_id is not null"),
            ),
        ),
    )
