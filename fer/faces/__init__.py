"""Detect, align and crop faces."""
