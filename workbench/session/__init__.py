"""The one read path: a tenant's published data, read as the tenant's own login."""

from workbench.session.errors import (
    ConnectionLost,
    NoSuchTable,
    SourceError,
    StatementCancelled,
    StatementFailed,
    StatementRefused,
    StatementTimeout,
    TooManyConnections,
    TooManyRows,
)
from workbench.session.freshness import Freshness
from workbench.session.opening import open_workbench
from workbench.session.reading import Progress, Reading
from workbench.session.source import Source
from workbench.session.workbench import Workbench

__all__ = [
    "ConnectionLost",
    "Freshness",
    "NoSuchTable",
    "Progress",
    "Reading",
    "Source",
    "SourceError",
    "StatementCancelled",
    "StatementFailed",
    "StatementRefused",
    "StatementTimeout",
    "TooManyConnections",
    "TooManyRows",
    "Workbench",
    "open_workbench",
]
