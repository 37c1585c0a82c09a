"""What can go wrong between a steward and a decision.

WorkbenchError
├── StewardRefused
└── DecisionError
"""

from __future__ import annotations

from pipeline.core.errors import WorkbenchError


class StewardRefused(WorkbenchError):
    """Only data stewards and administrators read and decide about the quality of all tenants."""


class DecisionError(WorkbenchError):
    """The decision is not the one that was asked for, or the hold is not the one that was looked at."""
