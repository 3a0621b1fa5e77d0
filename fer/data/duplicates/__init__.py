"""Exact and near duplicates of images: find, count and report them, and drop them from training."""

from fer.data.duplicates.report import (
    check_duplicates,
    drop_leaks,
    duplicate_report,
    format_report,
    format_summary,
    write_report,
)
from fer.data.duplicates.search import Duplicates, find_duplicates, find_exact_duplicates, merge_groups

__all__ = [
    "Duplicates",
    "check_duplicates",
    "drop_leaks",
    "duplicate_report",
    "find_duplicates",
    "find_exact_duplicates",
    "format_report",
    "format_summary",
    "merge_groups",
    "write_report",
]
