"""fer-train, the Hydra entry point: composes and checks the config, then calls `fer.training.run`."""

import errno
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.hydra import Hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fer.core.command_line import quick_imports, run_command, without_password
from fer.core.errors import FerError
from fer.core.paths import CONFIG_DIR
from fer.training.api import read_overrides, sets_folder
from fer.training.config import RunConfig
from fer.training.overrides import check_no_action, chosen_action, explain_hydra_error, print_config
from fer.training.plugin_sources import import_named, plugin_sources
from fer.training.rerun import flags_first, with_run_config, with_teachers
from fer.training.resolvers import register_resolvers
from fer.training.run_record import claimed_folder

_DISK_ERRORS = (errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EROFS, errno.ENOSPC,
                errno.EDQUOT, errno.EFBIG, errno.ENAMETOOLONG, errno.EINVAL)  # fmt: skip
# Beginnings of arguments that choose files in which ``hydra.mode`` may be set.
_FILES = ("experiment=", "+experiment=", "hydra/", "hydra.searchpath", "-c", "--config")


def main() -> None:
    """Run ``fer-train`` with the arguments of the command line and exit with its status."""
    # With this variable Hydra raises its errors unchanged, so that they can be explained here.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    # Passwords are removed before anything stores the arguments.
    sys.argv[1:] = map(without_password, sys.argv[1:])
    register_resolvers()
    with plugin_sources():
        sys.exit(run_command(_run_app))


def train(config: DictConfig) -> dict[str, float]:
    """Train with a composed config; return the metrics of the best epoch, which a sweep optimises.

    Raises:
        FerError: An option, the data or the environment is wrong.
    """
    hydra_folder = Path(HydraConfig.get().runtime.output_dir).resolve()
    try:
        overrides = list(HydraConfig.get().overrides.task)
        run_config, folder, resume = read_overrides(config, overrides, hydra_folder)
        if config.print_config:
            print_config(config)
        is_single = HydraConfig.get().mode is not RunMode.MULTIRUN
        beside = not (is_single and sets_folder(HydraConfig.get().overrides.hydra))
        with claimed_folder(folder, resume, beside) as folder:
            return _act(config, run_config, folder, resume)
    finally:
        # Hydra creates the folder before the options are checked.
        if hydra_folder.is_dir() and not any(hydra_folder.iterdir()):
            hydra_folder.rmdir()


def _act(config: DictConfig, run_config: RunConfig, folder: Path, resume: bool) -> dict[str, float]:
    """Train, or find a learning rate or a batch size instead."""
    # Each imports torch, so only after the options have been checked.
    action = chosen_action(config)
    if action is None:
        with quick_imports():
            from fer.training.run import run

        return run(run_config, folder, resume)
    if resume:
        raise FerError(f"{action}: expected a new run, got resume={folder}. Remove one of the two options.")
    if action == "lr_find":
        from fer.training.lr_find import lr_find

        lr_find(run_config, folder)
    else:
        from fer.training.batch_size_find import batch_size_find

        batch_size_find(run_config, folder)
    return {}


def _run_app() -> None:
    # Errors are raised after Hydra has returned, because Hydra would print a line above the message.
    errors: list[FerError] = []

    def task(config: DictConfig) -> dict[str, float]:
        try:
            return train(config)
        except FerError as error:
            if HydraConfig.get().mode is RunMode.MULTIRUN:
                # Hydra's line says which of the runs failed.
                raise
            errors.append(error)
            return {}

    arguments = sys.argv[1:] = with_teachers(with_run_config(flags_first(sys.argv[1:])))
    import_named(arguments)
    # Only sweeps have values that Hydra cannot compose.
    if _may_be_multirun(arguments):
        check_no_action(arguments)
        from fer.training.multirun import rewritten

        sys.argv[1:] = rewritten(arguments)
    _compose_and_call(task, arguments)
    if errors:
        raise errors[0]


def _may_be_multirun(arguments: list[str]) -> bool:
    return any(item in ("-m", "--multirun") or "sweep" in item or "MULTIRUN" in item for item in arguments)


@contextmanager
def _composed_once(arguments: list[str]) -> Iterator[None]:
    """Let Hydra compose once in this context, if no file can turn the run into several.

    Hydra composes a first time only to read ``hydra.mode``, which takes as long as the second time. The files
    of ``sweep`` set it, and those of an experiment or of the user may.
    """
    before = Hydra.get_mode
    if not _may_be_multirun(arguments) and not any(item.startswith(_FILES) for item in arguments):
        Hydra.get_mode = lambda *_, **__: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        Hydra.get_mode = before  # type: ignore[method-assign]


def _compose_and_call(task: Callable[[DictConfig], dict[str, float]], arguments: list[str]) -> None:
    app = hydra.main(config_path=str(CONFIG_DIR), config_name="train", version_base="1.3")(task)
    try:
        with _composed_once(arguments):
            app()
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        if isinstance(error, ValueError) and not _is_hydra_error(error):
            raise
        overrides = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
        if sys.argv[1:] != arguments:
            from fer.training.multirun import grid_error

            raise grid_error(arguments) or explain_hydra_error(error, overrides) from error
        raise explain_hydra_error(error, overrides) from error
    except OSError as error:
        if error.errno not in _DISK_ERRORS or not _concerns_run_folder(error):
            raise
        raise FerError(
            f"{error}. Free disk space, or choose another folder for the run with output_dir=…"
        ) from error


def _is_hydra_error(error: BaseException) -> bool:
    """Return whether an error was raised in Hydra or OmegaConf, and so is about the command line."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and not {"hydra", "omegaconf"}.isdisjoint(Path(frames[-1].filename).parts)


def _concerns_run_folder(error: OSError) -> bool:
    """Return whether an error is about the run folder, so that the user can fix it."""
    # The error of a full disk has no file name.
    if not HydraConfig.initialized() or error.filename is None:
        return True
    hydra_config: Any = HydraConfig.get()
    output_dir = OmegaConf.select(hydra_config, "runtime.output_dir", throw_on_missing=False)
    # A multirun has several run folders, so no single one is set.
    if output_dir is None:
        return True
    folder, path = Path(output_dir).absolute(), Path(error.filename).absolute()
    return path.is_relative_to(folder) or folder.is_relative_to(path)
