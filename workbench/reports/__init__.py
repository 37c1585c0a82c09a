"""A notebook as one dated HTML file: of one tenant, as of one promotion, readable without a network, without code.

The same promotion gives the same bytes: whatever depends on the moment of making is left out.
"""

from workbench.reports.errors import ReportError
from workbench.reports.report import Report, file_name, make_report, write_report

__all__ = ["Report", "ReportError", "file_name", "make_report", "write_report"]
