"""What takes part in a comparison: each run's predictions, size and speed. Models are let go again."""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from fer.analysis.count_scores import count_figures
from fer.analysis.ledger import Ledger, entry
from fer.analysis.predictions import Predictions
from fer.data.dataset import EmotionData
from fer.errors import FerError
from fer.scoring import Subject, TrainedRun, choose, data_options, load_run, read_data, score
from fer.scoring.inference import infer
from fer.scoring.runs import training_of
from fer.training.run_folder import read_record

_BATCH_SECONDS = (
    0.2  # of a batch whose speed is measured: long beside the clock, short beside a user's patience
)
_LEDGER = ("accuracy", "macro_f1", "uar")


@dataclass(frozen=True)
class Contender:
    """A run that takes part.

    Attributes:
        predictions: For the split.
        subject: Returns the images themselves; they are read when this is called.
        megabytes: Of its checkpoint.
        record: What its ``run.json`` says.
        recipe: Its config without the seed and without what does not change the training.
        speed: Images a second; ``None`` where it was not measured.
        outputs: The folder of all runs.
        is_new: It was scored just now; else its predictions were there.
    """

    predictions: Predictions
    subject: Callable[[], Subject]
    megabytes: float
    record: dict[str, Any]
    recipe: dict[str, Any]
    speed: float | None
    outputs: Path
    is_new: bool

    def __getitem__(self, key: str) -> Any:
        """Return an entry of ``predictions.about``."""
        return self.predictions.about[key]

    @property
    def training(self) -> tuple[str, ...]:
        """Return what seeds of one recipe have in common: its hash, and the images and labels of training."""
        return training_of(self["recipe_sha256"], self["trained_on"])

    @property
    def accuracy(self) -> float:
        """Return the share of right answers."""
        return float((self.predictions.preds == self.predictions.target).mean())


def gather(sources: Sequence[str], split: str, path: str | None, measure: bool) -> list[Contender]:
    """Load runs one after the other, and score those without fitting predictions.

    Args:
        sources: Run folders or checkpoints.
        split: ``train``, ``val``, ``test`` or ``all``.
        path: Where the data lies now; ``None``: where it was.
        measure: Measure speeds: once for each network, on this machine.

    Raises:
        FerError: A run has no checkpoint, its data is not there, or there is no such split.
    """
    read = lru_cache(lambda options: read_data(json.loads(options)))
    cut = lru_cache(lambda options, labels: choose(read(options), split, labels))
    speeds: dict[str, float] = {}
    found = []
    for source in sources:
        run = load_run(source)
        if measure and _network(run) not in speeds:
            speeds[_network(run)] = images_per_second(run)
        found.append(_examine(run, split, path, cut, speeds.get(_network(run))))
    return found


def _examine(
    run: TrainedRun, split: str, path: str | None, cut: Callable[..., Subject], speed: float | None
) -> Contender:
    config, labels = run.trained.config, run.trained.labels  # and not the run: its model shall go

    def subject() -> Subject:
        return cut(json.dumps(data_options(config, path), sort_keys=True), labels)

    known = stored(run, split)
    if known and path is not None and known.about["data"] != subject().data.source:
        known = None  # they are of the data where it was
    if known and not _are_still(known, subject):
        known = None
    predictions = known or _score(run, subject())
    record = read_record(run.folder) if run.folder else {}
    megabytes = run.path.stat().st_size / 1e6
    return Contender(predictions, subject, megabytes, record, run.recipe, speed, run.outputs, known is None)


def _are_still(known: Predictions, subject: Callable[[], Subject]) -> bool:
    """Whether stored predictions are of the images and labels as they are now, where these are at hand."""
    try:
        now = subject().manifest()
    except FerError:
        return True
    before = known.about["manifest"]
    return all(before.get(key) == now.get(key) for key in ("pixels_sha256", "files_sha256", "labels_sha256"))


def stored(run: TrainedRun, split: str) -> Predictions | None:
    """Return what fer-evaluate left in the run folder, if it is of these weights and its own data."""
    path = (run.folder or run.path) / "report" / split / "predictions.npz"
    if not path.is_file():
        return None
    found = Predictions.load(path)
    wanted = {"model_sha256": run.model_sha256, "tta": None, "role": split, "other_data": False}
    return found if all(found.about.get(key) == value for key, value in wanted.items()) else None


def _score(run: TrainedRun, subject: Subject) -> Predictions:
    provenance = {
        "data": subject.data.source,
        "split": subject.split,
        "role": subject.role,
        "has_test": subject.has_test,
        "test_images": subject.test_images(),
        "test_marks": subject.marks(subject.in_test),
        "manifest": subject.manifest(),
        "other_data": False,
    }
    return score(run, subject, provenance).predictions


def earlier_scores(contenders: Sequence[Contender]) -> list[str]:
    """Say which recipes had been scored on these test images before; asked before `enter_test_scores`."""
    said = []
    for one in contenders:
        count = Ledger(one.outputs).history(one.predictions.about).same_recipe if one["has_test"] else 0
        if count:
            scores = f"{count} score{'s' if count > 1 else ''}"
            said.append(f"{one['run']}: its recipe had {scores} on these test images before this comparison.")
    return said


def enter_test_scores(contenders: Sequence[Contender]) -> None:
    """Enter fresh scores of test images in the ledger; those that were there are in it already."""
    for one in contenders:
        if one.is_new and one["has_test"]:
            table = one.predictions
            rng = np.random.default_rng(0)
            found = count_figures(table.target, table.probs, table.labels.names, 2000, rng)
            result = {name: vars(found[name]) for name in _LEDGER}
            Ledger(one.outputs).append(entry(table.about, result))


def _network(run: TrainedRun) -> str:
    """Return what the speed depends on."""
    config = run.trained.config
    return json.dumps(
        [config["model"], config["attention"], run.trained.manifest["image_shape"]], default=str
    )


def images_per_second(run: TrainedRun) -> float:
    """Return the speed of inference on this machine, resizing included: the median of five batches."""
    config, shape = run.trained.config, run.trained.manifest["image_shape"]

    def seconds(count: int) -> float:
        start = time.perf_counter()
        infer(run.trained.model, _blank(count, shape, run), config["model"]["image_size"], count)
        return time.perf_counter() - start

    seconds(8)  # the first call sets things up
    count = int(np.clip(8 * _BATCH_SECONDS / seconds(8), 8, 512))
    return count / statistics.median(seconds(count) for _ in range(5))


def _blank(count: int, shape: Sequence[int], run: TrainedRun) -> EmotionData:
    """Return black pictures: what is on them takes no time."""
    zeros, no = np.zeros((count, *shape), np.uint8), np.zeros(count, np.int64)
    return EmotionData(zeros, no, no.astype(np.uint8), ("all",), {"val": "all"}, run.trained.labels, "speed")


def distinct(contenders: Sequence[Contender]) -> tuple[list[Contender], list[str]]:
    """Return the runs with weights of their own, and what is to be said of the others.

    Raises:
        FerError: Fewer than two are left.
    """
    by_weights: dict[str, Contender] = {}
    notes = []
    for one in contenders:
        first = by_weights.setdefault(one["model_sha256"], one)
        if first is not one:
            notes.append(f"{one['run']} holds the same weights as {first['run']} and counts once with it.")
    if len(by_weights) < 2:
        why = f" {notes[0]}" if notes else ""
        raise FerError(f"fer-compare: expected two trained models or more, got one.{why} Name another run.")
    return list(by_weights.values()), notes
