"""Facial emotion recognition that holds up: train, judge, search, export and serve."""
