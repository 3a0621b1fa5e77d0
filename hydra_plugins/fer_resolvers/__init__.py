"""Registers the resolvers of ``conf/train.yaml`` when Hydra loads its plugins, also for ``hydra.compose``."""

from fer.training.resolvers import register_resolvers

register_resolvers()
