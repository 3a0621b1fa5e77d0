"""Metrics, plots and reports from predictions: arrays in, results out, without models or data loaders."""
