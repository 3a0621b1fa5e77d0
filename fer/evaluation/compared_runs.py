"""The runs of a comparison: predictions, size and speed of each, and the keys that match their images.

Models are loaded one after the other, and each is freed before the next is loaded.
"""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from fer.analysis.about import About
from fer.analysis.metrics.classification import count_estimates
from fer.analysis.predictions import Predictions
from fer.core.errors import FerError
from fer.core.paths import expand_user
from fer.data.config import DataConfig
from fer.data.dataset import EmotionData
from fer.data.duplicates.hashes import pixel_digests
from fer.data.image_files import ImageFiles
from fer.evaluation.ledger import LEDGER_METRICS, Ledger, make_entry
from fer.evaluation.runs import RunSource, TrainedRun, load_run, make_training_key
from fer.evaluation.score import score_run
from fer.evaluation.split import EvaluationSplit, data_config, read_data, select_split
from fer.models.inference import infer
from fer.training.run_record import RunRecord, read_record

# Target duration of a timed batch: much longer than the resolution of the clock
_BATCH_SECONDS = 0.2


@dataclass(frozen=True)
class ComparedRun:
    """A run that is compared with others.

    Attributes:
        predictions: Predictions for the split.
        load_split: Function that reads and returns the images.
        megabytes: Size of its checkpoint.
        record: Content of its ``run.json``.
        recipe: Its config without the seed and without options that do not change the training.
        speed: Images per second; ``None`` if it was not measured.
        outputs: The folder of all runs.
        is_new: Whether it was scored now. If not, its stored predictions were used.
    """

    predictions: Predictions
    load_split: Callable[[], EvaluationSplit]
    megabytes: float
    record: RunRecord
    recipe: dict[str, Any]
    speed: float | None
    outputs: Path
    is_new: bool

    @property
    def about(self) -> About:
        """Facts about its predictions."""
        return self.predictions.about

    @property
    def training_key(self) -> tuple[str, ...]:
        """Key of a recipe, equal for all its seeds: hashes of recipe, training images and labels."""
        return make_training_key(self.about.recipe_sha256, self.about.trained_on)


def load_compared_runs(
    sources: Sequence[RunSource], split: str, path: str | None, measure: bool
) -> list[ComparedRun]:
    """Load runs one after the other, and score those without matching stored predictions.

    Args:
        sources: Run folders, checkpoints, or objects with a run folder.
        split: ``train``, ``val``, ``test`` or ``all``.
        path: New path of the data; ``None`` if it has not moved.
        measure: Measure the speed of each architecture once, on this machine.

    Raises:
        FerError: A run has no checkpoint, its data is missing, or there is no such split.
    """
    read = lru_cache(lambda config: read_data(DataConfig.from_dict(json.loads(config))))
    select = lru_cache(lambda config, labels: select_split(read(config), split, labels))
    speeds: dict[str, float] = {}
    compared = []
    for source in sources:
        run = load_run(source)
        if measure and _architecture(run) not in speeds:
            speeds[_architecture(run)] = measure_speed(run)
        compared.append(_score_or_reuse(run, split, path, select, speeds.get(_architecture(run))))
    return compared


def _score_or_reuse(
    run: TrainedRun,
    split: str,
    path: str | None,
    select: Callable[..., EvaluationSplit],
    speed: float | None,
) -> ComparedRun:
    # The closure must not reference the run, so that its model can be freed
    config, labels = run.config, run.checkpoint.labels

    def load_split() -> EvaluationSplit:
        return select(json.dumps(data_config(config, path).to_dict(), sort_keys=True), labels)

    stored = stored_predictions(run, split)
    # With --path, predictions of the data at its old path are not reused
    if stored and path is not None and stored.about.data != load_split().data.source:
        stored = None
    if stored and not _is_current(stored, load_split):
        stored = None
    if stored:
        predictions = stored
    else:
        selected = load_split()
        predictions = score_run(run, selected, selected.about(selected.in_test)).predictions
    record = read_record(run.folder)
    megabytes = run.path.stat().st_size / 1e6
    is_new = stored is None
    return ComparedRun(predictions, load_split, megabytes, record, run.recipe, speed, run.outputs, is_new)


def _is_current(stored: Predictions, load_split: Callable[[], EvaluationSplit]) -> bool:
    """Return whether images and labels are those of these predictions; True if the data is missing."""
    try:
        now = load_split().manifest()
    except FerError:
        return True
    before = stored.about.manifest
    return all(before.get(key) == now.get(key) for key in ("pixels_sha256", "files_sha256", "labels_sha256"))


def stored_predictions(run: TrainedRun, split: str) -> Predictions | None:
    """Return the predictions of fer-evaluate, if they are of these weights and of the data of the run."""
    path = (run.folder or run.path) / "report" / split / "predictions.npz"
    if not path.is_file():
        return None
    predictions = Predictions.load(path)
    about = predictions.about
    found = about.model_sha256, about.tta, about.role, about.other_data
    return predictions if found == (run.model_sha256, None, split, False) else None


def earlier_score_notes(runs: Sequence[ComparedRun]) -> list[str]:
    """Return a note for each run whose recipe was scored on these test images before.

    Call this before `record_test_scores`.
    """
    notes = []
    for run in runs:
        count = Ledger(run.outputs).history(run.about).same_recipe if run.about.has_test else 0
        if count:
            scores = f"{count} score{'s' if count > 1 else ''}"
            notes.append(
                f"{run.about.run}: its recipe had {scores} on these test images before this comparison."
            )
    return notes


def record_test_scores(runs: Sequence[ComparedRun]) -> None:
    """Record new scores of test images in the ledger; those of stored predictions are already in it."""
    for run in runs:
        if run.is_new and run.about.has_test:
            target, probs, names = run.predictions.target, run.predictions.probs, run.predictions.labels.names
            estimates = count_estimates(target, probs, names, 2000, np.random.default_rng(0))
            result = {name: vars(estimates[name]) for name in LEDGER_METRICS}
            Ledger(run.outputs).append(make_entry(run.about, result))


def _architecture(run: TrainedRun) -> str:
    """Return a key of everything that the speed depends on."""
    config = run.config
    parts = config.model.to_dict(), config.attention.to_dict(), run.checkpoint.manifest["image_shape"]
    return json.dumps(parts, default=str)


def measure_speed(run: TrainedRun) -> float:
    """Return images per second on this machine, including resizing: the median of five batches."""
    config, shape = run.config, run.checkpoint.manifest["image_shape"]

    def seconds(count: int) -> float:
        start = time.perf_counter()
        # Black images, as the speed does not depend on their content
        images, targets = np.zeros((count, *shape), np.uint8), np.zeros(count, np.int64)
        split, roles = targets.astype(np.uint8), {"val": "all"}
        data = EmotionData(images, targets, split, ("all",), roles, run.checkpoint.labels, "speed")
        infer(run.checkpoint.model, data, config.model.image_size, count)
        return time.perf_counter() - start

    # Warm-up: the first call includes initialization
    seconds(8)
    count = int(np.clip(8 * _BATCH_SECONDS / seconds(8), 8, 512))
    return count / statistics.median(seconds(count) for _ in range(5))


def drop_equal_weights(runs: Sequence[ComparedRun]) -> tuple[list[ComparedRun], list[str]]:
    """Return the runs with different weights, and a note for each of the others.

    Raises:
        FerError: Fewer than two are left.
    """
    by_weights: dict[str, ComparedRun] = {}
    notes = []
    for run in runs:
        first = by_weights.setdefault(run.about.model_sha256, run)
        if first is not run:
            notes.append(f"{run.about.run} has the same weights as {first.about.run}; they count as one run.")
    if len(by_weights) < 2:
        reason = f" {notes[0]}" if notes else ""
        raise FerError(
            f"fer-compare: expected two or more different models, got one.{reason} Name another run."
        )
    return list(by_weights.values()), notes


def image_keys(runs: Sequence[ComparedRun]) -> list[np.ndarray]:
    """Return keys of the scored images of each run, ``(N,)`` each; equal keys are the same image.

    For data in memory, the keys are hashes of the pixels; or row numbers, if the data sets are of one path
    but have several sizes or colours. For data on disk, they are hashes of the files, or names and sizes if
    there are many files.

    Raises:
        FerError: The images cannot be matched: some are in memory and some on disk, or of several sizes.
    """
    splits = [run.load_split() for run in runs]
    keys = _split_keys(splits, [run.about.run for run in runs])
    # Images that could not be read have no prediction
    is_scored = [np.isin(split.index, run.predictions.index) for split, run in zip(splits, runs, strict=True)]
    return [key[mask] for key, mask in zip(keys, is_scored, strict=True)]


def _split_keys(splits: Sequence[EvaluationSplit], runs: Sequence[str]) -> list[np.ndarray]:
    images = [split.data.images for split in splits]
    in_memory = [part for part in images if isinstance(part, np.ndarray)]
    on_disk = [part for part in images if isinstance(part, ImageFiles)]
    if not in_memory:
        return [np.array(list(part.files.content_hashes(np.arange(len(part))))) for part in on_disk]
    names = " and ".join(dict.fromkeys(runs))
    if on_disk:
        raise FerError(
            f"{names}: expected all images in memory or all on disk, got both, so they cannot be matched. "
            "Score the runs again with the same datamodule.memory_gb."
        )
    if len({part.shape[1:] for part in in_memory}) == 1:
        return [np.array(pixel_digests(part)) for part in in_memory]
    if len({expand_user(split.data.source).resolve() for split in splits}) == 1:
        return [split.index for split in splits]
    sizes = " and ".join(dict.fromkeys("x".join(map(str, part.shape[1:])) for part in in_memory))
    raise FerError(
        f"{names}: expected images of one size or from one path, got {sizes} from several paths, so they "
        "cannot be matched. Name one path that has the data of all runs with --path."
    )
