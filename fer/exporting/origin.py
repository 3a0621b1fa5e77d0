"""The parts of a model card that come from the run: name, training, crop rule, licence."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fer.analysis.curves import read_metrics
from fer.bundle.card import NAME_PATTERN, NAME_RULE, UNMEASURED, CropRule
from fer.checkpoint import TIMM_WEIGHTS, dataset_names
from fer.errors import FerError
from fer.exporting.own_data import PATH_KEYS, strip_folder, strip_folders
from fer.faces.rules import CROP_RULES
from fer.scoring import TrainedRun
from fer.training.run_folder import read_record

# The folders of `path: ...` inside a list of data sets on the command line.
_PATH = re.compile(r"(\bpath\s*:\s*['\"]?)[^,}\]]*/(?=[^/,}\]\s])")
_RUN_NAME = re.compile(r"(?:\d\d-\d\d-\d\d_)?(?P<stem>.+)_s\d+_[0-9a-f]{4}")
# The folders of any other path inside a list.
_FOLDERS = re.compile(r"(?<![^\s=:,'\"{\[(])(?:~[\w.-]*)?/(?:[^\s,'\"{}\[\]]*/)?")
# Config keys that are local to this machine or run.
_LOCAL_KEYS = ("output_dir", "resume", "logger", "name")
# Data sets that share the images, and so the crops, of another.
_SAME_IMAGES = {"ferplus": "fer2013"}
# Training data of initial weights, if it was not recorded.
_UNKNOWN = "unknown"

_RESEARCH_ONLY = (
    "For research only: the terms of the data also apply to the weights. Not for products, and not for "
    "decisions about people."
)
_LICENCES = {
    "fer2013": "FER2013 (Goodfellow et al. 2013, https://arxiv.org/abs/1307.0414): faces collected from a "
    "web search, for research.",
    "ferplus": "FER2013's faces (https://arxiv.org/abs/1307.0414), for research, with FER+'s votes (Barsoum "
    "et al. 2016, https://arxiv.org/abs/1608.01041).",
    "rafdb": "RAF-DB (Li et al. 2017, https://doi.org/10.1109/CVPR.2017.277): non-commercial research only.",
    "affectnet": "AffectNet (Mollahosseini et al. 2017, https://arxiv.org/abs/1708.03985): non-commercial "
    "research only.",
    "synthetic": "Synthetic faces, no real people: licence of this package.",
    TIMM_WEIGHTS: "Initial weights from timm, mostly trained on ImageNet: their terms also apply.",
    _UNKNOWN: "Initial weights whose training data is unknown: their terms also apply.",
}
_CUSTOM_DATA = "Your own images; their terms are not known to this program."


def choose_name(runs: Sequence[TrainedRun], requested: str | None) -> str:
    """Return the name of the model: the requested one, else the run's name without its seed.

    Raises:
        FerError: The name is not allowed as a folder name, or several runs were given without a name.
    """
    if requested is None and len(runs) > 1:
        raise FerError("--name: expected a name for the ensemble of several runs, got none. Add --name NAME.")
    run = runs[0]
    run_name = str(run.checkpoint.config.get("name") or run.name)
    match = _RUN_NAME.fullmatch(run_name)
    name = requested if requested is not None else (match["stem"] if match else run_name)
    if not NAME_PATTERN.fullmatch(name):
        raise FerError(f"--name: expected {NAME_RULE}, got {name!r}. Choose another name.")
    return name


def crop_rule(runs: Sequence[TrainedRun], requested: str | None = None) -> CropRule:
    """Return the crop rule of the images that runs were trained on.

    Args:
        runs: One or more runs.
        requested: A key of `CROP_RULES`; None: the rule of the data sets, or `UNMEASURED` if they have none
            or different ones.
    """
    if requested is not None:
        return CROP_RULES[requested]
    rules = {_rule_name(name) for run in runs for name in dataset_names(run.checkpoint.config)}
    return CROP_RULES[rules.pop() if len(rules) == 1 else UNMEASURED]


def _rule_name(data: str) -> str:
    name = _SAME_IMAGES.get(data, data)
    return name if name in CROP_RULES else UNMEASURED


def licence(runs: Sequence[TrainedRun]) -> dict[str, str]:
    """Return the terms of data and weights; the terms of the initial weights' training data also apply."""
    names = dict.fromkeys(name for run in runs for name in _all_data(run))
    terms = " ".join(dict.fromkeys(_LICENCES.get(name, _CUSTOM_DATA) for name in names))
    if set(names) <= {"synthetic"}:
        return {"data": terms, "weights": "Licence of this package."}
    return {"data": terms, "weights": _RESEARCH_ONLY}


def _all_data(run: TrainedRun) -> Iterator[str]:
    """Yield the names of the data sets that the weights were trained on, including the initial weights."""
    yield from dataset_names(run.checkpoint.config)
    yield from _earlier_data(run.checkpoint.init_from, run.checkpoint.config["model"]["pretrained"])


def _earlier_data(origin: Mapping[str, Any] | None, pretrained: bool | str) -> Iterator[str]:
    """Yield the names of the data sets that the initial weights were trained on."""
    if pretrained and origin is None:
        yield TIMM_WEIGHTS
    while origin is not None:
        yield from origin.get("data") or [_UNKNOWN]
        origin = origin.get("init_from")


def training(runs: Sequence[TrainedRun]) -> dict[str, Any]:
    """Return the card's training entry: that of the first run, with the other runs as ``members``."""
    first, *others = map(_training, runs)
    return first | ({"members": others} if others else {})


def _training(run: TrainedRun) -> dict[str, Any]:
    """Return the training entry of one run as JSON values, without local paths."""
    record = read_record(run.folder) if run.folder else {}
    epochs, seconds = _duration(run.folder, record)
    config = {key: value for key, value in run.checkpoint.config.items() if key not in _LOCAL_KEYS}
    match = _RUN_NAME.fullmatch(str(run.checkpoint.config.get("name") or run.name))
    return {
        "command": _public_command(record.get("command")),
        "experiment": match["stem"] if match else None,
        "run": run.name,
        "seed": run.seed,
        "epoch": run.checkpoint.epoch,
        "epochs": epochs,
        "seconds": seconds,
        "commit": record.get("commit"),
        "versions": record.get("versions"),
        "data": run.checkpoint.config["datamodule"]["name"],
        "manifest": run.checkpoint.manifest,
        "init_from": strip_folders(run.checkpoint.init_from),
        "weights_sha256": run.model_sha256,
        "recipe_sha256": run.recipe_sha256,
        "recipe": strip_folders(config),
    }


def _duration(folder: Path | None, record: Mapping[str, Any]) -> tuple[int | None, float | None]:
    """Return the epochs and seconds of a run; of a killed run, those up to its last logged epoch."""
    metrics = folder / "metrics.csv" if folder else None
    if "epochs" in record or metrics is None or not metrics.is_file():
        return record.get("epochs"), record.get("fit_seconds")
    rows = read_metrics(metrics)
    seconds = rows[-1].get("perf/fit_seconds") if rows else None
    return len(rows) or None, seconds and round(seconds, 3)


def _public_command(command: str | None) -> str | None:
    """Return a command line with paths reduced to file names, and without its output folder."""
    if command is None:
        return None
    arguments = [
        argument.partition("=") for argument in shlex.split(command) if not argument.startswith("output_dir=")
    ]
    return shlex.join(f"{key}{sign}{_public_value(key, value)}" for key, sign, value in arguments)


def _public_value(key: str, value: str) -> str:
    """Return a value of the command line with paths reduced to file names."""
    if key.rpartition(".")[2] in PATH_KEYS:
        return strip_folder(value)
    return _FOLDERS.sub("", _PATH.sub(r"\1", strip_folders(value)))
