"""The record of a run, ``run.json``: id, command, environment, data manifest, status and results.

The file also reserves the folder: `claim_folder` creates it, which succeeds for one process only.
"""

import json
import os
import platform
import re
import secrets
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import metadata
from itertools import count
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

import fer
from fer.core.errors import FerError
from fer.core.names import override
from fer.core.paths import atomic_write
from fer.training.metrics import current_names
from fer.training.typed import as_typed

FILENAME = "run.json"
# Status of a run that has reserved its folder, but not written anything else.
STARTING = "starting"
PACKAGES = ("fer-lightning", "torch", "torchvision", "pytorch-lightning", "torchmetrics", "timm", "numpy")


class RunRecord(BaseModel):
    """The content of ``run.json``. Every field has a default, because a run may have been killed early.

    Only fields that were set are written.

    Attributes:
        id: Random id, also in the run's checkpoints and its id in W&B; None for runs that are older than ids.
        status: ``starting``, ``running``, ``finished``, ``interrupted``, ``failed`` or ``pruned``; "" without
            a file.
        seed: Seed of the run.
        command: The command line, without passwords.
        python: Version of Python.
        versions: Package -> version; None for one that is not installed.
        commit: Commit of the checkout that the code is in, with ``+`` if tracked files were changed; None if
            the package was installed.
        machine: ``system`` and ``cpus``.
        device: Device of the first process, such as ``cuda:0``.
        processes: Number of processes.
        precision: Lightning's precision, such as ``bf16-mixed``.
        manifest: Counts and hashes of the data.
        tags: Tags of the run.
        own_parts: Key of the config -> callbacks, loggers and profiler named by ``_target_``. They are not
            built from here: a resumed run needs them on its command line.
        init_from: Source of the initial weights (`fer.training.transfer`).
        teachers: Records of the teachers (`fer.training.teachers`).
        resumes: How often the run was resumed.
        wandb: The run in W&B: ``id``, ``project`` and ``entity``; None if nothing was logged to W&B.
        error: Message of the error that ended a failed run.
        fit_seconds: Duration of the fit in seconds, over all resumes.
        epochs: Number of epochs trained.
        best: Metrics of the best epoch, with its number from 1 as ``epoch``; None if nothing was validated.
        images_per_second: Training images per second, median over the epochs.
        validation_images: Number of validation images of the best epoch.
        accuracy_95: 95 % interval of its accuracy, a fraction; as in a report (older runs: Wilson).
    """

    model_config = ConfigDict(extra="ignore")

    id: str | None = None
    status: str = ""
    seed: int | None = None
    command: str | None = None
    python: str | None = None
    versions: dict[str, str | None] | None = None
    commit: str | None = None
    machine: dict[str, Any] | None = None
    device: str | None = None
    processes: int | None = None
    precision: str | None = None
    manifest: dict[str, Any] = Field(default_factory=dict)
    init_from: dict[str, Any] | None = None
    teachers: list[dict[str, Any]] | None = None
    tags: list[str] | None = None
    own_parts: dict[str, Any] | None = None
    resumes: int = 0
    wandb: dict[str, str | None] | None = None
    error: str | None = None
    fit_seconds: float | None = None
    epochs: int | None = None
    best: dict[str, float] | None = None
    images_per_second: float | None = None
    validation_images: int | None = None
    accuracy_95: tuple[float, float] | None = None

    @field_validator("best", mode="before")
    @classmethod
    def _rename(cls, best: Any) -> Any:
        return current_names(best) if isinstance(best, dict) else best

    @property
    def best_metrics(self) -> dict[str, int | float]:
        """`best`, or an empty dict."""
        return self.best or {}

    def write(self, folder: Path) -> None:
        """Write ``run.json`` into the run folder, atomically."""
        text = json.dumps(self.model_dump(exclude_unset=True), indent=2) + "\n"
        with atomic_write(folder / FILENAME) as file:
            file.write(text.encode())


def read_record(folder: Path | None) -> RunRecord:
    """Return the record of a run; an empty one if the file is missing or damaged, or ``folder`` is None."""
    if folder is None:
        return RunRecord()
    try:
        return RunRecord.model_validate(json.loads((folder / FILENAME).read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError):
        return RunRecord()


def new_id() -> str:
    """Return a random id: 12 hex digits, so that 100,000 runs have distinct ids with a chance of 0.99998."""
    return secrets.token_hex(6)


def claim_folder(folder: Path, beside: bool) -> Path:
    """Reserve a folder for a new run, and create it if necessary.

    Args:
        folder: The folder.
        beside: If the folder has a run, reserve ``folder-2``, ``folder-3``, … instead.

    Returns:
        The reserved folder. Its ``run.json`` has the new run's id, and the status ``starting``.

    Raises:
        FerError: The folder has another run.
    """
    for number in count(1):
        candidate = folder if number == 1 else folder.with_name(f"{folder.name}-{number}")
        try:
            candidate.mkdir(parents=True, exist_ok=True)
            with (candidate / FILENAME).open("x", encoding="utf-8") as file:
                json.dump({"id": new_id(), "status": STARTING}, file)
        except FileExistsError as error:
            if not beside:
                raise occupied_error(folder) from error
        except FileNotFoundError:
            # Another process, whose options are wrong, has removed the empty folder.
            return claim_folder(folder, beside)
        except OSError as error:
            raise FerError(
                f"{error}. Free disk space, or choose another folder for the run with output_dir=…"
            ) from error
        else:
            if number > 1:
                print(f"{folder.name} has another run, so the folder of this run is {candidate}", flush=True)
            return candidate
    raise AssertionError("unreachable")


def occupied_error(folder: Path) -> FerError:
    """Return the error for a folder that has another run."""
    if read_record(folder).status == STARTING:
        return FerError(
            f"{folder}: expected a folder without a run, but a run has just started in it, or was killed "
            "before it started. If no process uses the folder, delete it; otherwise choose another one."
        )
    return FerError(
        f"{folder}: expected a folder without a run, but it has one. Resume that run with "
        f"{override('resume', str(folder))}, or choose another folder."
    )


@contextmanager
def claimed_folder(folder: Path, resume: bool, beside: bool) -> Iterator[Path]:
    """Yield a folder that is reserved for a run; give it back if the run does not start.

    Of several processes only the first reserves it.

    Args:
        folder: The folder.
        resume: It is that of the run to resume, so it is not reserved.
        beside: As for `claim_folder`.

    Raises:
        FerError: As `claim_folder`.
    """
    # Imports torch, which readers of records do not need.
    from pytorch_lightning.utilities import rank_zero_only

    if resume or getattr(rank_zero_only, "rank", 0) != 0:
        yield folder
        return
    folder = claim_folder(folder, beside)
    try:
        yield folder
    finally:
        if read_record(folder).status == STARTING:
            (folder / FILENAME).unlink()
            with suppress(OSError):
                folder.rmdir()


def command_line() -> str:
    """Return the command that started this process, with passwords in URLs (``://user:password@``) masked."""
    return re.sub(r"(://[^:/@\s]*:)[^@\s]+@", r"\1***@", shlex.join(["fer-train", *as_typed(sys.argv[1:])]))


@cache
def environment() -> dict[str, Any]:
    """Return the fields of a record that describe versions, commit and machine.

    Cached because a process runs the code that it loaded, even if another commit is checked out meanwhile.
    """
    return {
        "python": sys.version.split()[0],
        "versions": {name: package_version(name) for name in PACKAGES},
        "commit": _commit(),
        "machine": {"system": platform.platform(), "cpus": os.cpu_count()},
    }


def package_version(name: str) -> str | None:
    """Return the version of an installed package; None if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    checkout = Path(fer.__file__).resolve().parent.parent
    # An installed package may be inside another project's checkout.
    if not (checkout / ".git").exists():
        return None
    try:
        head = _git(checkout, "rev-parse", "HEAD")
        return head + ("+" if _git(checkout, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
