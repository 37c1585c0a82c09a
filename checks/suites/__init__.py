"""The suites, in the order in which they are judged: a boundary stands on those before it."""

from __future__ import annotations

from checks.rules import Suite
from checks.suites import metrics, raw_to_facts, sessions, users

SUITES: tuple[Suite, ...] = (*raw_to_facts.SUITES, *sessions.SUITES, *users.SUITES, *metrics.SUITES)
