"""Hyperparameter sweeps: Optuna behind ``fer-train -m sweep=…``, on one machine or several."""
