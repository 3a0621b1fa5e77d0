"""Render sections as a report: an HTML page, Markdown for a pull request, and JSON."""

from fer.analysis.report.write import write_report

__all__ = ["write_report"]
