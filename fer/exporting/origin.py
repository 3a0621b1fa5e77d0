"""Where a model comes from, for its card: name, training, crop rule, licence."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fer.analysis.curves import read_metrics
from fer.bundle.card import NAME, NAME_FORM, UNMEASURED, CropRule
from fer.checkpoint import TIMM, data_names
from fer.errors import FerError
from fer.exporting.own_data import PLACES, without_folder, without_places
from fer.faces.rules import RULES
from fer.scoring import TrainedRun
from fer.training.run_folder import read_record

_PATH = re.compile(r"(\bpath\s*:\s*['\"]?)[^,}\]]*/(?=[^/,}\]\s])")  # folders of a data set within a list
_RUN_NAME = re.compile(r"(?:\d\d-\d\d-\d\d_)?(?P<stem>.+)_s\d+_[0-9a-f]{4}")
_FOLDERS = re.compile(r"(?<![^\s=:,'\"{\[(])(?:~[\w.-]*)?/(?:[^\s,'\"{}\[\]]*/)?")  # of a path within a list
_OF_THIS_MACHINE = ("output_dir", "resume", "logger", "name")
_SAME_PICTURES = {"ferplus": "fer2013"}  # data set -> the one whose crops it has
_UNKNOWN = "unknown"  # data of first weights that nobody noted down

_RESEARCH = "For research only, as the data: {} Not for products, and not for decisions about people."
_LICENCES = {
    "fer2013": "FER2013 (Goodfellow et al. 2013, https://arxiv.org/abs/1307.0414): faces collected from a "
    "web search, for research.",
    "ferplus": "FER2013's faces (https://arxiv.org/abs/1307.0414), for research, with FER+'s votes (Barsoum "
    "et al. 2016, https://arxiv.org/abs/1608.01041).",
    "rafdb": "RAF-DB (Li et al. 2017, https://doi.org/10.1109/CVPR.2017.277): non-commercial research only.",
    "affectnet": "AffectNet (Mollahosseini et al. 2017, https://arxiv.org/abs/1708.03985): non-commercial "
    "research only.",
    "synthetic": "Drawn faces, no real person: as this package.",
    TIMM: "The weights began as timm's, mostly of ImageNet: their own terms hold too.",
    _UNKNOWN: "The weights began as others whose data is not known to this program: their terms hold too.",
}
_YOUR_OWN = "Pictures of your own; their terms are not known to this program."


def choose_name(runs: Sequence[TrainedRun], asked: str | None) -> str:
    """Return the name of a model: what is asked for, else that of the run without its seed.

    Raises:
        FerError: It could not be a folder's name everywhere, or several runs were given none.
    """
    if asked is None and len(runs) > 1:
        raise FerError("Several runs in one bundle are no longer either of them: give it a --name.")
    run = runs[0]
    told = str(run.trained.config.get("name") or run.name)
    match = _RUN_NAME.fullmatch(told)
    name = asked if asked is not None else (match["stem"] if match else told)
    if not NAME.fullmatch(name):
        raise FerError(f"--name {name!r}: expected {NAME_FORM}.")
    return name


def crop_rule(runs: Sequence[TrainedRun], asked: str | None = None) -> CropRule:
    """Return where faces lie in the pictures that runs were trained on.

    Args:
        runs: One or more.
        asked: The rule that their pictures were cut by, a key of `RULES`; None: that of the data sets, or
            `UNMEASURED` where nobody measured it.
    """
    if asked is not None:
        return RULES[asked]
    rules = {_rule_name(name) for run in runs for name in data_names(run.trained.config)}
    return RULES[rules.pop() if len(rules) == 1 else UNMEASURED]


def _rule_name(data: str) -> str:
    name = _SAME_PICTURES.get(data, data)
    return name if name in RULES else UNMEASURED


def licence(runs: Sequence[TrainedRun]) -> dict[str, str]:
    """Return the terms of data and weights; what the first weights were trained on binds these too."""
    names = dict.fromkeys(name for run in runs for name in _all_data(run))
    terms = " ".join(dict.fromkeys(_LICENCES.get(name, _YOUR_OWN) for name in names))
    if set(names) <= {"synthetic"}:
        return {"data": terms, "weights": "As this package."}
    return {"data": terms, "weights": _RESEARCH.format("what it may not be used for, they may not either.")}


def _all_data(run: TrainedRun) -> Iterator[str]:
    """Yield the names of what a run's weights were trained on, by the run and before it."""
    yield from data_names(run.trained.config)
    yield from _earlier_data(run.trained.init_from, run.trained.config["model"]["pretrained"])


def _earlier_data(origin: Mapping[str, Any] | None, pretrained: bool | str) -> Iterator[str]:
    """Yield the names of what the weights were trained on that a run began with."""
    if pretrained and origin is None:
        yield TIMM
    while origin is not None:
        yield from origin.get("data") or [_UNKNOWN]
        origin = origin.get("init_from")


def training(runs: Sequence[TrainedRun]) -> dict[str, Any]:
    """Return how the model was trained, of several the first, with the others as ``members``."""
    first, *others = map(_training, runs)
    return first | ({"members": others} if others else {})


def _training(run: TrainedRun) -> dict[str, Any]:
    """Return how a model was trained, as plain values and without the places of this machine."""
    record = read_record(run.folder) if run.folder else {}
    epochs, seconds = _length(run.folder, record)
    config = {key: value for key, value in run.trained.config.items() if key not in _OF_THIS_MACHINE}
    match = _RUN_NAME.fullmatch(str(run.trained.config.get("name") or run.name))
    return {
        "command": _typed(record.get("command")),
        "experiment": match["stem"] if match else None,
        "run": run.name,
        "seed": run.seed,
        "epoch": run.trained.epoch,
        "epochs": epochs,
        "seconds": seconds,
        "commit": record.get("commit"),
        "versions": record.get("versions"),
        "data": run.trained.config["datamodule"]["name"],
        "manifest": run.trained.manifest,
        "init_from": without_places(run.trained.init_from),
        "weights_sha256": run.model_sha256,
        "recipe_sha256": run.recipe_sha256,
        "recipe": without_places(config),
    }


def _length(folder: Path | None, record: Mapping[str, Any]) -> tuple[int | None, float | None]:
    """Return the epochs and seconds of a run; of one that was killed, those that it wrote down."""
    metrics = folder / "metrics.csv" if folder else None
    if "epochs" in record or metrics is None or not metrics.is_file():
        return record.get("epochs"), record.get("fit_seconds")
    rows = read_metrics(metrics)
    seconds = rows[-1].get("perf/fit_seconds") if rows else None
    return len(rows) or None, seconds and round(seconds, 3)


def _typed(command: str | None) -> str | None:
    """Return a command line with the names of its files alone, and without where its outputs went."""
    if command is None:
        return None
    words = [word.partition("=") for word in shlex.split(command) if not word.startswith("output_dir=")]
    return shlex.join(f"{key}{sign}{_told(key, value)}" for key, sign, value in words)


def _told(key: str, value: str) -> str:
    """Return a value of the command line without folders."""
    if key.rpartition(".")[2] in PLACES:
        return without_folder(value)
    return _FOLDERS.sub("", _PATH.sub(r"\1", without_places(value)))
