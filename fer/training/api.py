"""`train`, fer-train as a Python function, and `Run`, the run folder that it returns."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from fer.core.errors import FerError
from fer.core.names import is_unicode
from fer.core.paths import CONFIG_DIR, expand_user
from fer.training.overrides import (
    check_additions,
    chosen_action,
    explain_hydra_error,
    has_default_name,
    overridden_keys,
    to_run_config,
)
from fer.training.plugin_sources import import_named, plugin_sources
from fer.training.rerun import with_run_config, with_teachers
from fer.training.resolvers import register_resolvers
from fer.training.resume import load_stopped_run
from fer.training.run_folder import check_folder, read_config
from fer.training.run_record import RunRecord, claimed_folder, read_record

if TYPE_CHECKING:
    from pytorch_lightning.callbacks import Callback

    from fer.training.config import RunConfig


@dataclass(frozen=True)
class Run(os.PathLike[str]):
    """A run folder. It can be used as a path, as in ``fer.evaluate(run)``.

    Attributes:
        folder: Folder with ``config.yaml``, ``run.json``, ``metrics.csv``, ``checkpoints/`` and ``plots/``.
        metrics: Metrics of the best epoch, such as ``val/accuracy``; empty if nothing was validated.
    """

    folder: Path
    metrics: dict[str, float] = field(repr=False)

    def __fspath__(self) -> str:
        """Return the folder as text."""
        return str(self.folder)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "Run":
        """Return an earlier run.

        Raises:
            FerError: The folder has no readable ``run.json``.
        """
        path = expand_user(folder).resolve()
        if not (record := read_record(path)).status:
            raise FerError(
                f"{path}: expected a run folder with a run.json, got none. Give a folder of fer-train."
            )
        return cls(path, record.best or {})

    @property
    def checkpoint(self) -> Path | None:
        """``best.ckpt``, or ``last.ckpt`` if nothing was validated; None before the first checkpoint."""
        paths = [self.folder / "checkpoints" / f"{name}.ckpt" for name in ("best", "last")]
        return next((path for path in paths if path.is_file()), None)

    @property
    def record(self) -> RunRecord:
        """Content of ``run.json``: status, command, versions, data manifest, and results."""
        return read_record(self.folder)

    @property
    def config(self) -> "RunConfig":
        """Config of the run."""
        return read_config(self.folder)


def train(*overrides: str, callbacks: "Sequence[Callback]" = (), quiet: bool = False) -> Run:
    """Train a classifier, as ``fer-train`` with the same overrides.

    Args:
        overrides: Hydra overrides, such as ``"experiment=fer2013_fast"`` and ``"trainer.max_epochs=3"``.
        callbacks: Additional Lightning callbacks.
        quiet: Print nothing and save no plots.

    Raises:
        FerError: An option, the data or the environment is wrong; the message is that of the command.

    Example:
        >>> import fer
        >>> run = fer.train("datamodule=synthetic", "trainer.max_epochs=3")  # doctest: +SKIP
        >>> run.metrics["val/accuracy"]  # doctest: +SKIP
        0.31
    """
    if wrong := [item for item in overrides if not isinstance(item, str)]:
        raise FerError(
            f"train: expected overrides such as 'seed=1', got {wrong[0]!r}. Unpack lists: train(*items)."
        )
    with composed(overrides) as config:
        run_config, folder, resume = read_overrides(config, overrides, Path(config.hydra.run.dir))
        if (action := chosen_action(config)) is not None:
            raise FerError(f"{action}: expected false in fer.train, got true. Run fer-train {action}=true.")
    # Imports torch, so only after the options have been checked.
    from fer.training.run import run

    with claimed_folder(folder, resume, beside=not sets_folder(overrides)) as folder:
        return Run(folder, run(run_config, folder, resume, callbacks=callbacks, quiet=quiet))


def read_overrides(
    config: DictConfig, overrides: Sequence[str], folder: Path
) -> "tuple[RunConfig, Path, bool]":
    """Return the config of a run, its folder, and whether it is resumed.

    Args:
        config: As composed by Hydra.
        overrides: The overrides that it was composed with.
        folder: Folder of a new run.

    Raises:
        FerError: An option is wrong, or the run cannot be resumed.
    """
    if wrong := [item for item in overrides if not is_unicode(item)]:
        raise FerError(f"{wrong[0]!a}: expected Unicode text, got other bytes. Rename the file or folder.")
    check_additions(overrides)
    run_config = to_run_config(config)
    if run_config.resume is None:
        check_folder(folder)
        folder = folder.resolve()
        if has_default_name(config) and run_config.name not in folder.name:
            # The user has chosen the folder, with hydra.run.dir.
            run_config = run_config.replace(name=folder.name)
        return run_config, folder, False
    return *load_stopped_run(run_config, overridden_keys(overrides)), True


def sets_folder(overrides: Sequence[str]) -> bool:
    """Return whether the user has chosen the run folder, not only the folder of all runs."""
    return any(item.startswith("hydra.run.dir=") for item in overrides)


@contextmanager
def composed(overrides: Sequence[str]) -> Iterator[DictConfig]:
    """Yield the config of these overrides with its ``hydra`` node, outside a Hydra application.

    Raises:
        FerError: Hydra rejects an override; the message names the nearest known option.
    """
    register_resolvers()
    before = HydraConfig.instance().cfg
    import_named(overrides)
    overrides = with_teachers(with_run_config(overrides))
    try:
        with plugin_sources(), hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            config = hydra.compose("train", overrides=list(overrides), return_hydra_config=True)
            if config.hydra.mode is not None and config.hydra.mode.name == "MULTIRUN":
                raise FerError("sweep: expected a single run, got a sweep. Run it with fer-train.")
            HydraConfig.instance().set_config(config)
            yield config
    except (HydraException, OmegaConfBaseException) as error:
        raise explain_hydra_error(error, overrides) from error
    finally:
        HydraConfig.instance().cfg = before
