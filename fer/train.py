"""fer-train: the Hydra entry point. Composes and checks the config, then hands over to `fer.training.run`."""

import errno
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fer import options
from fer.cli import run_and_explain
from fer.errors import FerError
from fer.sweep.address import without_password
from fer.training.resume import stopped_run
from fer.training.run_folder import run_name

_DISK = (errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EROFS, errno.ENOSPC, errno.EDQUOT,
         errno.EFBIG)  # fmt: skip


def main() -> None:
    """Run ``fer-train`` with the words of the command line and exit with its status."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # errors reach us whole; `_run_app` puts them in words
    sys.argv[1:] = map(without_password, sys.argv[1:])  # before anything keeps them
    OmegaConf.register_new_resolver("run_name", run_name, replace=True, use_cache=True)
    sys.exit(run_and_explain(_run_app))


def _run_app() -> None:
    mistakes: list[FerError] = []  # raised after Hydra is done: it would print a line of its own above ours

    def task(config: DictConfig) -> dict[str, float]:
        try:
            return train(config)
        except FerError as error:
            if HydraConfig.get().mode is RunMode.MULTIRUN:
                raise  # there Hydra's line says which of the runs it was
            mistakes.append(error)
            return {}

    _compose_and_call(task)
    if mistakes:
        raise mistakes[0]


def _compose_and_call(task: Callable[[DictConfig], dict[str, float]]) -> None:
    app = hydra.main(config_path=str(options.CONFIG_DIR), config_name="train", version_base="1.3")(task)
    try:
        app()
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        if isinstance(error, ValueError) and not _is_hydras(error):
            raise  # a mistake of ours
        words = [word for word in sys.argv[1:] if not word.startswith("-")]
        raise options.explain(error, words) from error
    except OSError as error:
        if error.errno not in _DISK or not _concerns_the_run(error):
            raise
        raise FerError(f"{error}. Free or choose another place for the run with output_dir=…") from error


def _is_hydras(error: BaseException) -> bool:
    """Whether an error was raised by Hydra or OmegaConf, and so is about the command line."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and not {"hydra", "omegaconf"}.isdisjoint(Path(frames[-1].filename).parts)


def _concerns_the_run(error: OSError) -> bool:
    """Whether an error is about the run folder, and so for the user to mend. A full disk names no file."""
    if not HydraConfig.initialized() or error.filename is None:
        return True
    hydra_config: Any = HydraConfig.get()
    place = OmegaConf.select(hydra_config, "runtime.output_dir", throw_on_missing=False)
    if place is None:  # a sweep, which has a folder for each of its runs
        return True
    folder, path = Path(place).absolute(), Path(error.filename).absolute()
    return path.is_relative_to(folder) or folder.is_relative_to(path)


def train(config: DictConfig) -> dict[str, float]:
    """Train as composed; return the metrics of the best epoch (what a sweep sees).

    Raises:
        FerError: Anything that the user can put right.
    """
    folder = Path(HydraConfig.get().runtime.output_dir).resolve()
    try:
        options.check(config)
        options.complete_sources(config)
        values: Any = OmegaConf.to_container(config, resolve=True)
        place, resumes = folder, values["resume"] is not None
        if resumes:
            values, place = stopped_run(values, options.named(HydraConfig.get().overrides.task))
        from fer.training import run as training

        return training.run(values, place, resumes)
    finally:
        if folder.is_dir() and not any(folder.iterdir()):  # Hydra makes it before anybody knows better
            folder.rmdir()


if __name__ == "__main__":
    main()
