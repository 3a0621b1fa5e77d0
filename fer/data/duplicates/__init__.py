"""Copies of one photograph, exact and near: found by their pixels, counted, and kept out of training."""

from fer.data.duplicates.copies import Copies, all_copies, exact_copies, grouped
from fer.data.duplicates.report import announcement, check_copies, describe, drop_leaks, table, write_report

__all__ = [
    "Copies",
    "all_copies",
    "announcement",
    "check_copies",
    "describe",
    "drop_leaks",
    "exact_copies",
    "grouped",
    "table",
    "write_report",
]
