"""The report: sections put together as a page, as text for a pull request and as numbers."""

from fer.analysis.report.write import write_report

__all__ = ["write_report"]
