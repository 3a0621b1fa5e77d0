"""The runs of a comparison: predictions, size and speed of each, and the keys that match their images.

Models are loaded one after the other, and each is freed before the next is loaded.
"""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fer.analysis.about import About
from fer.analysis.predictions import Predictions
from fer.core.errors import FerError
from fer.core.paths import expand_user
from fer.core.text import counted
from fer.data.duplicates.hashes import pixel_digests
from fer.data.image_files import ImageFiles
from fer.evaluation.bundles import ModelSource, load_model, missing_data
from fer.evaluation.data import DataCache, EvaluationData
from fer.evaluation.faces import FaceFinder
from fer.evaluation.ledger import Ledger, score_entry
from fer.evaluation.report_folder import report_folder
from fer.evaluation.runs import TrainedRun, make_training_key
from fer.evaluation.score import score_run, without_labels
from fer.evaluation.split import EvaluationSplit
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
        megabytes: Size of its checkpoint or ONNX file.
        record: Content of its ``run.json``.
        recipe: Its config without the seed and without options that do not change the training.
        speed: Images per second; ``None`` if it was not measured.
        outputs: The folder of all runs.
        is_new: Whether it was scored now. If not, its stored predictions were used.
        file_sha256: Hash of an exported file, which is a candidate of its own; ``None`` for a checkpoint.
    """

    predictions: Predictions
    load_split: Callable[[], EvaluationSplit]
    megabytes: float
    record: RunRecord
    recipe: dict[str, Any]
    speed: float | None
    outputs: Path
    is_new: bool
    file_sha256: str | None = None

    @property
    def about(self) -> About:
        """Facts about its predictions."""
        return self.predictions.about

    @property
    def training_key(self) -> tuple[str, ...]:
        """Key of a recipe, equal for all its seeds: hashes of recipe, training images and labels."""
        if self.file_sha256 is not None:
            return ("file", self.file_sha256)
        return make_training_key(self.about.recipe_sha256, self.about.trained_on)

    @property
    def training_images(self) -> tuple[str, ...] | None:
        """Hashes of its training images and labels; ``None`` if they are not known."""
        if "train" not in self.about.trained_on.get("splits", {}):
            return None
        return make_training_key("", self.about.trained_on)[1:]


@dataclass(frozen=True)
class _Data:
    """What models are compared on; the fields are arguments of `load_compared_runs`."""

    split: str | None
    path: str | None
    other: str | None
    labels: Sequence[str] | None
    faces: FaceFinder | None


def load_compared_runs(
    sources: Sequence[ModelSource],
    split: str | None,
    path: str | None,
    measure: bool,
    *,
    other: str | None = None,
    labels: Sequence[str] | None = None,
    faces: FaceFinder | None = None,
) -> list[ComparedRun]:
    """Load models one after the other, and score those without matching stored predictions.

    Args:
        sources: Run folders, checkpoints, objects with a run folder, bundles, and foreign ONNX files.
        split: ``train``, ``val``, ``test`` or ``all``; ``None``: val, or of another data set what it has.
        path: New path of the data of the runs; ``None`` if it has not moved.
        measure: Measure the speed of each architecture once, on this machine.
        other: ``kind:path`` of another data set; ``None``: the data of each run, and for an exported model
            that of the first run.
        labels: Emotions of the numbers of the other data set.
        faces: Detects the faces in its photographs; ``None`` if its images are faces.

    Raises:
        FerError: A model cannot be loaded, its data is missing, or there is no such split.
    """
    data = _Data(split, path, other, labels, faces)
    cache, owner = DataCache(), None
    speeds: dict[str, float] = {}
    compared = []
    for source in sources:
        run = load_model(source)
        if data.other is None and run.file_sha256 is not None:
            owner = owner or _data_owner(sources)
        if measure and _architecture(run) not in speeds:
            speeds[_architecture(run)] = measure_speed(run)
        like = owner if run.file_sha256 is not None else None
        compared.append(_score_or_reuse(run, data, like, cache, speeds.get(_architecture(run))))
    return compared


def _data_owner(sources: Sequence[ModelSource]) -> TrainedRun:
    """Return the first run, which knows where its data is.

    Raises:
        FerError: There are exported models only.
    """
    for source in sources:
        run = load_model(source)
        if run.file_sha256 is None:
            return run
    raise missing_data(run)


def _score_or_reuse(
    run: TrainedRun, data: _Data, like: TrainedRun | None, cache: DataCache, speed: float | None
) -> ComparedRun:
    evaluation = EvaluationData(
        run, data.split, data.path, data.other, data.labels, faces=data.faces, like=like, cache=cache
    )
    # The function must not reference the run, so that its model can be freed
    load_split = partial(cache.select, evaluation.config, evaluation.role, run.checkpoint.labels)
    stored = stored_predictions(run, evaluation.role, data) if like is None else None
    # With --path, predictions of the data at its old path are not reused
    if stored and data.path is not None and stored.about.data != load_split().data.source:
        stored = None
    if stored and not _is_current(stored, load_split):
        stored = None
    predictions = stored or _score(run, evaluation, is_own=data.other is None and like is None)
    return ComparedRun(
        predictions,
        load_split,
        run.megabytes,
        read_record(run.folder),
        {} if run.file_sha256 else run.recipe,
        speed,
        run.outputs,
        is_new=stored is None,
        file_sha256=run.file_sha256,
    )


def _score(run: TrainedRun, evaluation: EvaluationData, is_own: bool) -> Predictions:
    """Score a run; on its own data, its images need not be looked for among those of the training."""
    split = evaluation.split_for(run)
    about = split.about(split.in_test) if is_own else evaluation.provenance(run).about
    return score_run(run, split, about).predictions


def _is_current(stored: Predictions, load_split: Callable[[], EvaluationSplit]) -> bool:
    """Return whether images and labels are those of these predictions; True if the data is missing."""
    try:
        now = load_split().manifest()
    except FerError:
        return True
    before = stored.about.manifest
    return all(before.get(key) == now.get(key) for key in ("pixels_sha256", "files_sha256", "labels_sha256"))


def stored_predictions(run: TrainedRun, role: str, data: _Data) -> Predictions | None:
    """Return the predictions of fer-evaluate, if they are of these weights and of these images."""
    if data.faces is not None:
        return None
    path = report_folder([run], role, data.other) / "predictions.npz"
    if not path.is_file():
        return None
    predictions = Predictions.load(path)
    about = predictions.about
    is_other = data.other is not None and about.other_data
    found = about.model_sha256, about.tta, about.role, about.other_data, about.faces
    return predictions if found == (run.model_sha256, None, role, is_other, None) else None


def earlier_score_notes(runs: Sequence[ComparedRun]) -> list[str]:
    """Return a note for each run whose recipe was scored on these test images before.

    Call this before `record_test_scores`.
    """
    notes = []
    for run in runs:
        count = Ledger(run.outputs).history(run.about).same_recipe if run.about.has_test else 0
        if count:
            scores = counted(count, "score")
            notes.append(
                f"{run.about.run}: its recipe had {scores} on these test images before this comparison."
            )
    return notes


def record_test_scores(runs: Sequence[ComparedRun]) -> None:
    """Record new scores of test images in the ledger; those of stored predictions are already in it."""
    for run in runs:
        if run.is_new and run.about.has_test:
            scored = run.predictions
            entry = score_entry(run.about, scored.target, scored.probs, scored.labels.names)
            Ledger(run.outputs).append(entry)


def _architecture(run: TrainedRun) -> str:
    """Return a key of everything that the speed depends on."""
    if run.file_sha256 is not None:
        return run.file_sha256
    config = run.config
    parts = config.model.to_dict(), config.attention.to_dict(), run.checkpoint.manifest["image_shape"]
    return json.dumps(parts, default=str)


def measure_speed(run: TrainedRun) -> float:
    """Return images per second on this machine, including resizing: the median of five batches."""
    size = run.config.model.image_size
    shape = (size, size, 3) if run.file_sha256 else run.checkpoint.manifest["image_shape"]

    def seconds(count: int) -> float:
        start = time.perf_counter()
        # Black images, as the speed does not depend on their content
        data = without_labels(np.zeros((count, *shape), np.uint8), run.checkpoint.labels)
        infer(run.checkpoint.model, data, size, count)
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


def _have_same_rows(splits: Sequence[EvaluationSplit]) -> bool:
    """Return whether splits of one path have the same images, by their rows and labels."""
    first = splits[0]
    return all(
        np.array_equal(first.index, other.index) and np.array_equal(first.data.targets, other.data.targets)
        for other in splits[1:]
    )


def _split_keys(splits: Sequence[EvaluationSplit], runs: Sequence[str]) -> list[np.ndarray]:
    images = [split.data.images for split in splits]
    in_memory = [part for part in images if isinstance(part, np.ndarray)]
    on_disk = [part for part in images if isinstance(part, ImageFiles)]
    if not in_memory:
        return [np.array(list(part.files.content_hashes(np.arange(len(part))))) for part in on_disk]
    names = " and ".join(dict.fromkeys(runs))
    has_one_path = len({expand_user(split.data.source).resolve() for split in splits}) == 1
    if on_disk and not (has_one_path and _have_same_rows(splits)):
        raise FerError(
            f"{names}: expected all images in memory or all on disk, got both, so they cannot be matched. "
            "Score the runs again with the same datamodule.memory_gb."
        )
    if not on_disk and len({part.shape[1:] for part in in_memory}) == 1:
        return [np.array(pixel_digests(part)) for part in in_memory]
    if has_one_path:
        return [split.index for split in splits]
    sizes = " and ".join(dict.fromkeys("x".join(map(str, part.shape[1:])) for part in in_memory))
    raise FerError(
        f"{names}: expected images of one size or from one path, got {sizes} from several paths, so they "
        "cannot be matched. Name one path that has the data of all runs with --path."
    )
