"""A run in Weights & Biases: started with the user's options and environment, and always finished.

W&B is imported only when it is used. `fer.training.lightning_loggers` has the loggers of a training.
"""

import os
import secrets
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from fer.core.errors import FerError
from fer.core.names import wandb_id, wandb_name
from fer.training.run_record import read_record
from fer.training.wandb_config import WandbConfig

if TYPE_CHECKING:
    from wandb import Run

# Modes of W&B that need the network.
ONLINE = ("online", "run", "shared")
# Seconds that W&B may wait for the network at the start and at the end of a run.
INIT_TIMEOUT, FINISH_TIMEOUT = 20, 300
# Project in W&B if none is chosen, by an option, WANDB_PROJECT or a settings file.
DEFAULT_PROJECT = "fer"
# The folder that this process has put into WANDB_DATA_DIR.
_data_folder: str | None = None
# Id in WANDB_RUN_ID -> folder of the run that has it; further runs of the process get their own ids.
_folder_of_id: dict[str | None, Path] = {}


@contextmanager
def warn_on_failure(what: str, printed: set[str] | None = None) -> Iterator[None]:
    """Print an exception as a warning on standard error, so that it does not fail a run.

    Args:
        what: What is missing because of the failure, for the message.
        printed: Failures that were printed before, which are not printed again; updated.
    """
    try:
        yield
    except Exception as error:
        if printed is None or what not in printed:
            print(f"WARNING: {what}: {first_line(error)}", file=sys.stderr, flush=True)
        if printed is not None:
            printed.add(what)


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message, or its type without one."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def start_wandb(
    options: WandbConfig,
    folder: Path,
    run_config: Mapping[str, Any],
    run_id: str | None,
    console: bool = False,
) -> "Run":
    """Start a W&B run: online if logged in and the server answers, else offline. Never prompts.

    The environment variables and settings files of W&B apply where no option was chosen: ``WANDB_PROJECT``,
    ``WANDB_NAME``, ``WANDB_TAGS``, ``WANDB_RUN_ID``, ``WANDB_DIR``, ``WANDB_MODE`` and the others. A run that
    was logged before keeps its id, project and entity, which are in its record.

    Args:
        options: Project, entity, group, tags and the others.
        folder: The run folder.
        run_config: The config that W&B shows for the run; its ``name`` is the default name of the W&B run,
            and its ``tags`` are tags in W&B as well.
        run_id: Id of the W&B run, unless the options or the environment set one; None for a random one.
        console: Log what the process prints.

    Raises:
        FerError: W&B refuses an option or a variable.
    """
    try:
        _set_data_folder(folder / "wandb")
        settings = wandb_settings()
        name = run_config.get("name") or folder.name
        arguments = _arguments(options, folder, settings, run_id, run_config.get("tags") or (), name)
        # In a sweep of W&B, the value of a parameter such as ``optimizer`` replaces that of the same name.
        complete = {"options": dict(run_config)} if settings.sweep_id else {}
        mode = options.mode or settings.mode
        is_resumed = bool(read_record(folder).wandb)
        arguments["settings"] = _settings(settings, console, is_resumed, arguments.get("settings"))
        return _start(arguments, {**run_config, **complete, **options.config}, settings, mode)
    except Exception as error:
        raise FerError(
            f"logger.wandb: expected W&B to start a run, got an error: {first_line(error)}. Correct the "
            "option or the environment variable, or run without W&B (logger=csv)."
        ) from error


def _set_data_folder(folder: Path) -> None:
    """Set ``WANDB_DATA_DIR``, unless the user has: W&B would store copies of tables in the home folder."""
    global _data_folder
    if os.environ.get("WANDB_DATA_DIR") in (None, _data_folder):
        _data_folder = os.environ["WANDB_DATA_DIR"] = str(folder)


def wandb_settings() -> Any:
    """Return W&B's settings from the environment and its files; ``model_fields_set`` names those set."""
    import wandb

    silent: dict[str, Any] = {} if "WANDB_SILENT" in os.environ else {"silent": True}
    return wandb.setup(wandb.Settings(**silent)).settings


def _arguments(
    options: WandbConfig,
    folder: Path,
    settings: Any,
    run_id: str | None,
    tags: Sequence[str] = (),
    default_name: str = "",
) -> dict[str, Any]:
    """Return the arguments of ``wandb.init``: chosen options, else W&B's own settings, else defaults."""
    before = read_record(folder).wandb or {}
    user_id = settings.run_id if _folder_of_id.setdefault(settings.run_id, folder) == folder else None
    name = options.name or settings.run_name or default_name or folder.name
    group = options.group or settings.run_group
    identity = {
        "id": wandb_id(options.id or before.get("id") or user_id or run_id or secrets.token_hex(6)),
        "project": options.project or before.get("project") or settings.project or DEFAULT_PROJECT,
        "entity": options.entity or before.get("entity"),
    }
    return {
        # `wandb agent` chooses them, and W&B warns about others.
        **({} if settings.sweep_id else identity),
        "name": wandb_name(name),
        "group": wandb_name(group) if group else None,
        "job_type": options.job_type,
        "notes": options.notes,
        # Those of the environment apply unless others were chosen.
        "tags": [*dict.fromkeys([*(options.tags or settings.run_tags or ()), *tags])] or None,
        "resume": settings.resume or "allow",
        "dir": options.dir or (None if "root_dir" in settings.model_fields_set else str(folder)),
        **options.keywords,
    }


def _start(arguments: Mapping[str, Any], run_config: Mapping[str, Any], settings: Any, mode: Any) -> "Run":
    import wandb
    from wandb.errors import Error

    # W&B would log to a temporary folder instead of one that is missing.
    Path(arguments["dir"] or settings.root_dir).expanduser().mkdir(parents=True, exist_ok=True)
    if mode in ONLINE:
        try:
            if wandb.login(prompt=False, verify=True):
                run = _init_wandb(arguments, run_config, mode)
                print(f"wandb    {run.url}", flush=True)
                return run
        except Error as error:
            print(f"W&B: login failed, logging offline. {first_line(error)}", flush=True)
        mode = "offline"
    return _init_wandb(arguments, run_config, mode)


def _settings(user: Any, console: bool, is_resumed: bool, chosen: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return W&B's settings: those chosen with ``+logger.wandb.settings``, else the user's, else ours."""
    defaults: dict[str, Any] = {"init_timeout": INIT_TIMEOUT, "finish_timeout": FINISH_TIMEOUT}
    settings = {name: value for name, value in defaults.items() if name not in user.model_fields_set}
    settings |= {} if console else {"console": "off"}
    # The output of a resumed run is added to that of its first part, in a file of its own.
    settings |= {"console_multipart": True} if console and is_resumed else {}
    return settings | {"silent": user.silent, "finish_timeout_raises": True} | dict(chosen or {})


def _init_wandb(arguments: Mapping[str, Any], run_config: Mapping[str, Any], mode: Any) -> "Run":
    import wandb

    settings = wandb.Settings(**{**arguments["settings"], "mode": mode})
    return wandb.init(**{**arguments, "settings": settings}, config=dict(run_config))


def finish_wandb(run: Any, failed: bool) -> None:
    """Finish a W&B run, and print the command that uploads what was not sent."""
    sync = f"wandb sync {shlex.quote(str(run.sync_dir))}"
    offline, disabled = run.offline, run.disabled
    try:
        run.finish(exit_code=int(failed))
    except Exception as error:
        reason = (
            f"not finished after {FINISH_TIMEOUT} s" if isinstance(error, TimeoutError) else first_line(error)
        )
        print(f"WARNING: W&B: upload: {reason}. Upload the rest with: {sync}", file=sys.stderr, flush=True)
        return
    if offline and not disabled:
        print(f"wandb    offline; upload with: {sync}", flush=True)
