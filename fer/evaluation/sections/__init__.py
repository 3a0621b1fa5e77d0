"""Sections of the reports of fer-evaluate and fer-compare: text, tables and plots."""
