"""The sweep: Optuna behind ``fer-train -m sweep=…``, on one machine or many."""
