"""The suites, in the order in which they are judged: a boundary stands on those before it."""

from __future__ import annotations

from dataclasses import replace

from checks.rules import Suite
from checks.suites import metrics, raw_to_facts, sessions, users
from checks.tunable import Thresholds, Tunable

TUNABLE: tuple[Tunable, ...] = (*raw_to_facts.TUNABLE, *sessions.TUNABLE)
"""Every rule that may be tuned. Keys, sums, completeness and what was landed are not: they hold or they do not."""


def suites(thresholds: Thresholds) -> tuple[Suite, ...]:
    """All suites with rules tuned to `thresholds`, without those that are off for everybody."""
    tuned = (*raw_to_facts.suites(thresholds), *sessions.suites(thresholds), *users.SUITES, *metrics.SUITES)
    return tuple(replace(suite, rules=tuple(rule for rule in suite.rules if rule.is_in_force)) for suite in tuned)


SUITES: tuple[Suite, ...] = suites(Thresholds())
