"""Whether what came is fresh, and whether a tenant still sends.

Both warn: whoever is silent is most often in no promotion, and old data that came late is better late
than never.
"""

from __future__ import annotations

from dataclasses import replace

from checks.rules import Rule, no_rows
from checks.suites.volume import LONGEST_PAST_WEEKS, SHARED
from checks.tunable import Parameter, Thresholds, Tunable, Tuned

STALE = Tunable(
    rule="data_is_fresh",
    severity="warn",
    parameters=(
        Parameter(
            name="hours",
            default=24,
            least=1,
            most=24 * 365,
            unit="hours",
            means="how long before the promotion its newest event may have been received",
        ),
    ),
)
SILENT = Tunable(
    rule="tenant_is_not_silent",
    severity="warn",
    # Who is silent is most often in no promotion, and can be neither held nor promoted.
    severities=("warn", "off"),
    parameters=(
        Parameter(name="hours", default=6, least=1, most=168, unit="hours", means="how long the silence must be"),
        Parameter(
            name="events",
            default=10,
            least=1,
            most=1_000_000_000,
            unit="events",
            means="how many events it sent in those hours of each week before, at least",
        ),
        Parameter(
            name="weeks",
            default=4,
            least=1,
            most=LONGEST_PAST_WEEKS,
            unit="weeks",
            means="in how many weeks before it must have sent in the same hours",
        ),
    ),
)
TUNABLE = (STALE, SILENT)

# A full refresh of what is published takes up again what came long ago.
NOT_FRESH = """
select recent.tenant_id, recent.newest as newest_received_at, promotion.as_of
from (select tenant_id, max(newest) as newest from arrivals group by tenant_id) as recent
inner join control.promotion_tenants as opened on opened.tenant_id = recent.tenant_id
inner join control.promotions as promotion on promotion.promotion_id = opened.promotion_id
left join control.promotion_progress as progress on progress.tenant_id = recent.tenant_id
where
    promotion.promotion_id = current_setting('workbench.promotion')::bigint
    and not (opened.full_refresh and progress.promotion_id is not null)
    and {applies}
    and recent.newest < promotion.as_of - {hours} * interval '1 hour'
"""

# All tenants, in the promotion or not: a probe for the newest hour of each, and one a week for the silent.
# Great Expectations wants every query to read the table.
FELL_SILENT = """
select tenant.tenant_id, newest.hour as last_sent_in, past.least as sent_at_least, asked.hours as silent_hours
from control.promotions as promotion
cross join control.tenants as tenant
cross join lateral (
    select
        {hours} as hours,
        {weeks}::int as weeks,
        date_trunc('hour', promotion.as_of) as until
) as asked
cross join lateral (
    select ledger.hour
    from control.ingest_ledger as ledger
    where ledger.tenant_id = tenant.tenant_id and ledger.accepted > 0
    order by ledger.hour desc
    limit 1
) as newest
cross join lateral (
    select min(weekly.events) as least
    from generate_series(1, asked.weeks) as week (number)
    cross join lateral (
        select coalesce(sum(ledger.accepted), 0) as events
        from control.ingest_ledger as ledger
        where
            ledger.tenant_id = tenant.tenant_id
            and ledger.hour >= asked.until - week.number * interval '7 days' - asked.hours * interval '1 hour'
            and ledger.hour < asked.until - week.number * interval '7 days'
    ) as weekly
) as past
where
    promotion.promotion_id = current_setting('workbench.promotion')::bigint
    and tenant.status = 'active'
    and {applies}
    and newest.hour < asked.until - asked.hours * interval '1 hour'
    and past.least >= {events}
    and exists (select from {{batch}})
"""


def rules(thresholds: Thresholds) -> tuple[Rule, ...]:
    """The rules, tuned; of the table of facts."""
    return (_fresh(thresholds.of(STALE)), _silence(thresholds.of(SILENT)))


def _fresh(tuned: Tuned) -> Rule:
    tenant = "recent.tenant_id"
    query = NOT_FRESH.format(applies=tuned.applies(tenant), hours=tuned.sql("hours", tenant))
    why = (
        "Even the newest of the new events was received long before the promotion: promotions ran late, the tenant "
        "was held for long, or it stopped sending since. Its figures are up to date and show an old state."
    )
    return tuned.rule(why, no_rows(query, shared=SHARED))


def _silence(tuned: Tuned) -> Rule:
    tenant = "tenant.tenant_id"
    query = FELL_SILENT.format(
        applies=tuned.applies(tenant), **{name: tuned.sql(name, tenant) for name in ("hours", "weeks", "events")}
    )
    why = "The tenant sent in these hours in each of the weeks before, and is silent now: its sender may be down."
    return replace(tuned.rule(why, no_rows(query)), tells_of_others=True)
