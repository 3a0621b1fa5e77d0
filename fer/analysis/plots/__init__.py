"""Matplotlib figures, without pyplot and torch."""
