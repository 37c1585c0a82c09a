"""What can go wrong when a report is made: nothing is written then."""

from __future__ import annotations

from pipeline.core.errors import WorkbenchError


class ReportError(WorkbenchError):
    """The report cannot be made, or not be written where it is asked for."""
