"""How much a tenant sends, against its own past: hours that are far from the usual.

These are guesses from statistics, so they warn unless they are tuned to stop. The past is read from the
ledger of landing, hour by hour and by its key.
"""

from __future__ import annotations

from collections.abc import Mapping

from checks.rules import Rule, no_rows
from checks.tunable import Parameter, Thresholds, Tunable, Tuned

LONGEST_PAST_WEEKS = 8
"""As many are read."""

DEVIATIONS = Parameter(
    name="deviations",
    default=8.0,
    least=1.0,
    most=1000.0,
    unit="deviations",
    means="how many usual deviations it must be from the usual (1.4826 times the median distance from the median)",
)
LEAST_DIFFERENCE = Parameter(
    name="least_difference",
    default=100,
    least=1,
    most=1_000_000_000,
    unit="events",
    means="how many events more or fewer than usual it must be at least",
)
WEEKS = Parameter(
    name="weeks",
    default=4,
    least=4,
    most=LONGEST_PAST_WEEKS,
    unit="weeks",
    means="how many weeks of past there must be",
)


def _share(most: float, means: str) -> Parameter:
    return Parameter(name="share", default=0.5, least=0.01, most=most, unit="", means=means)


SPIKE = Tunable(
    rule="volume_does_not_soar",
    severity="warn",
    parameters=(
        DEVIATIONS,
        _share(1000.0, "how much more than usual it must be at least, as a share of the usual"),
        LEAST_DIFFERENCE,
        WEEKS,
    ),
)
DROP = Tunable(
    rule="volume_does_not_collapse",
    severity="warn",
    parameters=(
        DEVIATIONS,
        _share(1.0, "how much less than usual it must be at least, as a share of the usual"),
        LEAST_DIFFERENCE,
        WEEKS,
    ),
)
TUNABLE = (SPIKE, DROP)

# One scan of the facts for all of these rules.
ARRIVALS = """
select
    tenant_id,
    date_trunc('hour', received_at) as hour,
    count(*) as events,
    count(*) - count(user_id) as without_user,
    count(*) - count(session_id) as without_session,
    min(lag_seconds) as least_lag,
    max(received_at) as newest
from {batch}
group by tenant_id, date_trunc('hour', received_at)
"""

# The hours in which events of the window came, and those over since the last promotion, for a day at
# the most, in which some should have come. What is published is not judged again.
HOURS = """
select came.tenant_id, came.hour, came.hour <= promotion.as_of - interval '1 hour' as is_over
from (
    select arrival.tenant_id, arrival.hour
    from arrivals as arrival
    union
    select opened.tenant_id, elapsed.hour
    from control.promotion_tenants as opened
    inner join control.promotions as promotion using (promotion_id)
    left join control.promotion_progress as progress on progress.tenant_id = opened.tenant_id
    cross join lateral generate_series(
        date_trunc('hour', greatest(progress.as_of, promotion.as_of - interval '1 day')),
        promotion.as_of - interval '1 hour',
        interval '1 hour'
    ) as elapsed (hour)
    where opened.promotion_id = current_setting('workbench.promotion')::bigint
) as came
inner join control.promotion_tenants as opened on opened.tenant_id = came.tenant_id
inner join control.promotions as promotion using (promotion_id)
left join control.promotion_progress as progress on progress.tenant_id = came.tenant_id
where
    opened.promotion_id = current_setting('workbench.promotion')::bigint
    and came.hour >= date_trunc('hour', coalesce(progress.as_of, '-infinity'))
"""

# The same hour of the weeks before, each a probe of the ledger by its key. An hour without a row in it
# was silent, once the tenant had begun. The median and the median distance from it bear a few odd weeks.
VOLUMES = """
select
    hours.tenant_id,
    hours.hour,
    hours.is_over,
    coalesce(present.stored, 0) as stored,
    past.weeks,
    past.usual,
    around.deviation
from hours
cross join lateral (
    select min(ledger.hour) as hour
    from control.ingest_ledger as ledger
    where ledger.tenant_id = hours.tenant_id
    offset 0
) as begun
left join lateral (
    select ledger.stored
    from control.ingest_ledger as ledger
    where ledger.tenant_id = hours.tenant_id and ledger.hour = hours.hour
    offset 0
) as present on true
cross join lateral (
    select
        count(*) as weeks,
        percentile_cont(0.5) within group (order by coalesce(earlier.stored, 0)) as usual,
        array_agg(coalesce(earlier.stored, 0)) as each_week
    from generate_series(1, 8) as week (number)
    left join lateral (
        select ledger.stored
        from control.ingest_ledger as ledger
        where ledger.tenant_id = hours.tenant_id and ledger.hour = hours.hour - week.number * interval '7 days'
        offset 0
    ) as earlier on true
    where hours.hour - week.number * interval '7 days' >= begun.hour
) as past
cross join lateral (
    select 1.4826 * percentile_cont(0.5) within group (order by abs(stored - past.usual)) as deviation
    from unnest(past.each_week) as week (stored)
) as around
where begun.hour <= hours.hour - interval '28 days'
"""
SHARED: Mapping[str, str] = {"arrivals": ARRIVALS, "hours": HOURS, "volumes": VOLUMES}
"""What drift and freshness are told from, too: the facts are scanned once for all of it."""

UNUSUAL = """
select tenant_id, hour, stored, usual, deviation, weeks
from volumes
where
    {applies}
    and weeks >= {weeks}
    and {difference} > greatest({deviations} * deviation, {share} * usual)
    and {difference} >= {least_difference}
"""


def rules(thresholds: Thresholds) -> tuple[Rule, ...]:
    """The rules, tuned; of the table of facts."""
    return (
        _volume(
            thresholds.of(SPIKE),
            "stored - usual",
            "Far more events than at this hour of the weeks before: a sender that repeats itself under new ids, or a "
            "loop, would be billed as usage. Or it is a good day.",
        ),
        _volume(
            thresholds.of(DROP),
            "is_over and usual - stored",
            "Far fewer events than at this hour of the weeks before: part of the sender may be down, and its usage "
            "would show as lost.",
        ),
    )


def _volume(tuned: Tuned, difference: str, why: str) -> Rule:
    condition, _, amount = difference.rpartition(" and ")
    query = UNUSUAL.format(
        applies=" and ".join(part for part in (tuned.applies(), condition) if part),
        difference=f"({amount})",
        **{name: tuned.sql(name) for name in ("weeks", "deviations", "share", "least_difference")},
    )
    return tuned.rule(why, no_rows(query, shared=SHARED))
