"""Where Hydra looks for sweepers: ``hydra/sweeper=fer``. All else is in `fer.sweep`, loaded when needed."""

from collections.abc import Sequence
from dataclasses import dataclass

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class FerSweeperConf:
    """The node ``hydra.sweeper``: what is searched is said under ``sweep``."""

    _target_: str = "hydra_plugins.fer_sweeper.FerSweeper"


ConfigStore.instance().store(group="hydra/sweeper", name="fer", node=FerSweeperConf, provider="fer")


class FerSweeper(Sweeper):
    """Search with Optuna: see `fer.sweep.sweeper`."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what a sweep is made from."""
        self.hydra_context, self.config = hydra_context, config

    def sweep(self, arguments: list[str]) -> Sequence[None]:
        """Run the whole sweep; ``arguments`` are the words of the command line."""
        from fer.sweep.sweeper import run_sweep

        assert self.hydra_context is not None
        assert self.config is not None
        run_sweep(self.hydra_context, self.config, arguments)
        return []
