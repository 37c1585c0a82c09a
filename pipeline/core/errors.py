"""Errors that people read: each says what happened and, where there is one, the remedy.

WorkbenchError
├── SettingsError
├── TenantError
├── ApiKeyError
├── DatabaseUnavailable        (retryable)
├── StreamError
│   ├── StreamUnavailable      (retryable)
│   └── OffsetsMoved           (retryable)
├── DeploymentError
│   └── FingerprintMismatch
├── PromotionError
│   └── PromotionRunning       (retryable)
├── MetricError
│   └── MetricTooSlow
├── MetabaseError
│   ├── MetabaseUnavailable    (retryable)
│   └── SpecError
├── EmbedError
│   ├── EmbedsNotSetUp
│   ├── UnknownDashboard
│   ├── NothingPublished
│   └── KeysInUse
├── HoldError
├── RollbackError
└── StackError
    └── StackRunning
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar


class WorkbenchError(Exception):
    """Something went wrong in the workbench."""

    retryable: ClassVar[bool] = False

    def __init__(self, message: str | None = None, *, remedy: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        self.remedy = remedy
        self.about: Mapping[str, object] = {}
        """What was being worked on, for the log: see `logs.bound`."""
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}" if self.remedy else self.message


class SettingsError(WorkbenchError):
    """A setting is missing or malformed."""


class TenantError(WorkbenchError):
    """The tenant is unknown, already there, or suspended."""


class ApiKeyError(WorkbenchError):
    """The API key is not valid."""


class DatabaseUnavailable(WorkbenchError):
    """The database cannot be reached or gave up in the middle; nothing of this call is acknowledged."""

    retryable = True


class StreamError(WorkbenchError):
    """The stream is not as it must be: its broker, its topic, or its offsets."""


class StreamUnavailable(StreamError):
    """The broker does not answer; what was being published may or may not have been taken."""

    retryable = True


class OffsetsMoved(StreamError):
    """Another consumer has moved the offsets of these partitions; nothing of this batch is stored."""

    retryable = True


class DeploymentError(WorkbenchError):
    """The database is not deployed, or not to this version."""


class FingerprintMismatch(DeploymentError):
    """Policies, grants, owners or views differ from what this release deployed."""


class PromotionError(WorkbenchError):
    """The promotion failed; readers keep the last published marts."""


class PromotionRunning(PromotionError):
    """Another promotion is running."""

    retryable = True


class MetricError(WorkbenchError):
    """The metric cannot be answered as it was asked for."""


class MetricTooSlow(MetricError):
    """Counting took too long and was given up."""


class MetabaseError(WorkbenchError):
    """Metabase refuses, or is not as it must be."""


class MetabaseUnavailable(MetabaseError):
    """Metabase does not answer, or is still starting."""

    retryable = True


class SpecError(MetabaseError):
    """The description of a dashboard is not as it must be; nothing was changed."""


class EmbedError(WorkbenchError):
    """No dashboard can be embedded as it was asked for."""


class EmbedsNotSetUp(EmbedError):
    """Dashboards cannot be embedded before Metabase is set up."""


class UnknownDashboard(EmbedError):
    """It is none of the dashboards that may be embedded."""

    def __init__(self, known: Sequence[str]) -> None:
        self.known = known
        """The slugs of those that may be."""
        super().__init__(remedy=f"Those are: {', '.join(known) or 'none; run `workbench metabase apply`'}.")


class NothingPublished(EmbedError):
    """Nothing of the tenant is published yet, so that there is nothing to show."""


class KeysInUse(EmbedError):
    """Tokens that the old signing keys signed may still be in use; nothing was changed."""


class HoldError(WorkbenchError):
    """The tenant is not held, or not in a way that this decision fits."""


class RollbackError(WorkbenchError):
    """The promotion cannot be undone; nothing was changed."""


class StackError(WorkbenchError):
    """The embedded stack cannot start or run."""


class StackRunning(StackError):
    """The embedded stack is already running on this data."""
