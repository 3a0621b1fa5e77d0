"""Training runs: config, trainer, callbacks, loggers, run folder and resuming."""
