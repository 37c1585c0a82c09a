"""What the same small delta costs on a small and on a large history, and what the first build costs."""

from __future__ import annotations

import time
from datetime import timedelta

from conformance.landing import PER_SESSION
from conformance.port import Answer, Answers
from conformance.scenario import Scenario, Trial

TENANTS = tuple(f"tenant-{number}" for number in range(100))
EVENTS_A_DAY = 20_000
REPEATS = 3
MOST_GROWTH = 1.5


def _grow(trial: Trial) -> Answers:
    trial.landing.add_tenants(TENANTS)
    first, growth = [], []
    landed = 0
    for size in trial.effort.sizes:
        landed += _land(trial, size - landed)
        first.append(_seconds_to_publish(trial))
        with trial.database.connect_admin(autocommit=True) as admin:
            # What autovacuum and the checkpointer do in the weeks that this history stands for.
            admin.execute("vacuum analyze")
            admin.execute("checkpoint")
        times = []
        for _ in range(REPEATS):
            landed += _land(trial, trial.effort.delta)
            times.append(_seconds_to_publish(trial))
        growth.append(min(times))
    ratio = growth[1] / growth[0]
    small, large = (f"{size:,}" for size in trial.effort.sizes)
    return [
        Answer(
            ratio <= MOST_GROWTH,
            f"{growth[0]:.1f} s on {small} facts, {growth[1]:.1f} s on {large}: {ratio:.1f} times; "
            f"{small} at once took {first[0]:.1f} s, the {large} after that {first[1]:.1f} s",
        )
    ]


def _land(trial: Trial, events: int) -> int:
    sessions = max(1, events // (len(TENANTS) * PER_SESSION))
    return trial.landing.land(TENANTS, sessions, span=timedelta(days=events / EVENTS_A_DAY))


def _seconds_to_publish(trial: Trial) -> float:
    began = time.perf_counter()
    trial.publish()
    return time.perf_counter() - began


GROWTH = Scenario(
    name="growth",
    promises=("A small delta on 16 times the history takes at most 1.5 times as long",),
    run=_grow,
)
