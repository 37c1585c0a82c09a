"""What becomes of bad data, and of good data beside it; and of checks that see nothing."""

from __future__ import annotations

from conformance.port import Answer, Answers
from conformance.scenario import Scenario, Trial, told

GOOD = ("acme", "globex", "initech")
BAD = "clock-ahead"
BAD_PUBLISHED = "select count(*) from {facts} where lag_seconds < -3600"


def _land_bad_rows(trial: Trial) -> Answers:
    trial.landing.add_tenants((*GOOD, BAD))
    trial.land(*GOOD, BAD)
    trial.publish()
    before = trial.facts_by_tenant()
    trial.land(BAD, bad=True)
    trial.land(*GOOD)
    published = trial.subject.publish()
    after = trial.facts_by_tenant()
    with trial.subject.as_analyst() as connection:
        bad = connection.execute(BAD_PUBLISHED.format(facts=trial.reading.facts).encode()).fetchall()[0][0]
    through = [tenant for tenant in GOOD if after.get(tenant, 0) > before[tenant]]
    totals = trial.totals()
    agree = totals[0] == totals[1]
    detail = f"{len(through)} of {len(GOOD)} went through" + ("" if agree else f", half: {told(totals)}")
    return [
        Answer(not bad, f"{bad:,} bad rows are published; it says: {published.told}"),
        Answer(len(through) == len(GOOD) and agree, detail),
    ]


def _blind_it(trial: Trial) -> Answers:
    trial.landing.add_tenants(GOOD)
    trial.land(*GOOD)
    trial.publish()
    before = trial.totals()
    trial.land(*GOOD)
    trial.subject.blind()
    published = trial.subject.publish()
    after = trial.totals()
    said = "says that all is well" if published.ok else f"says: {published.told.splitlines()[0][:160]}"
    seen = "readers keep the last state" if after == before else f"readers see {told(after)} instead of {told(before)}"
    return [Answer(after == before and not published.ok, f"it {said}; {seen}")]


BAD_ROWS = Scenario(
    name="bad rows",
    promises=("Bad rows of one tenant are not published", "All other tenants go through, whole"),
    run=_land_bad_rows,
)
BLINDED = Scenario(
    name="blinded",
    promises=("Checks that see nothing, for row security hides the rows, do not pass",),
    run=_blind_it,
)
