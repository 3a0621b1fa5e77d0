"""Sections of the evaluation report: text, tables and plots."""
