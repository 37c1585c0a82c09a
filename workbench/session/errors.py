"""What can go wrong when a tenant's data is read: each says what happened and what to do next.

SourceError
├── NoSuchTable
├── StatementRefused
├── StatementFailed
├── StatementTimeout
├── StatementCancelled
├── TooManyRows
├── TooManyConnections         (retryable)
└── ConnectionLost             (retryable)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.core.errors import WorkbenchError

if TYPE_CHECKING:
    import polars


class SourceError(WorkbenchError):
    """The tenant's data cannot be read."""


class NoSuchTable(SourceError):
    """There is no such table among the tenant's own."""


class StatementRefused(SourceError):
    """The statement is not one that reads."""


class StatementFailed(SourceError):
    """The database could not answer the statement."""


class StatementTimeout(SourceError):
    """The statement took longer than it may."""


class StatementCancelled(SourceError):
    """The statement was cancelled."""


class TooManyRows(SourceError):
    """The answer has more rows or bytes than it may."""

    def __init__(self, message: str, *, remedy: str | None = None, first: polars.DataFrame | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.first = first
        """The rows that were read: as many as were allowed, if rows were counted."""


class TooManyConnections(SourceError):
    """All connections that the tenant may have are at work."""

    retryable = True


class ConnectionLost(SourceError):
    """The database does not answer, or went away in the middle."""

    retryable = True
