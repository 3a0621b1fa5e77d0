"""Sections of the reports of fer-evaluate and fer-compare: text, tables and plots.

A function takes the predictions for a split, and their images, uint8 ``(N, H, W, C)`` in the same order.
"""
