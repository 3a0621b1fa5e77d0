"""Registers ``hydra/sweeper=fer`` where Hydra searches for plugins; imports `fer.sweep` only when used."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class FerSweeperConf:
    """The node ``hydra.sweeper``; the sweep itself is configured under ``sweep``.

    Attributes:
        params: Key -> values of a grid, as on the command line, e.g. in an experiment: ``seed: 0,1,2``.
    """

    _target_: str = "hydra_plugins.fer_sweeper.FerSweeper"
    params: dict[str, str] = field(default_factory=dict)


ConfigStore.instance().store(group="hydra/sweeper", name="fer", node=FerSweeperConf, provider="fer")


class FerSweeper(Sweeper):
    """Train the trials of a grid or of a search, in `fer.sweep.sweeper`."""

    def __init__(self, params: dict[str, str] | None = None) -> None:
        """Ignore the values of a grid, which are read from the config."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Store Hydra's context and the config."""
        self.hydra_context, self.config = hydra_context, config

    def sweep(self, arguments: list[str]) -> Sequence[None]:
        """Run the sweep to its end; ``arguments`` are the overrides of the command line."""
        from fer.sweep.sweeper import run_sweep

        assert self.hydra_context is not None
        assert self.config is not None
        run_sweep(self.hydra_context, self.config, arguments)
        return []
