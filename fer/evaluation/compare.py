"""Compare trained models on the same images: which is better, and whether the difference is significant."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from fer.analysis.metrics.comparison import Candidate, check_metric, compare_candidates
from fer.analysis.metrics.matching import MatchedImages, images_sha256, match_images
from fer.analysis.report import write_report
from fer.core.errors import FerError, did_you_mean
from fer.core.paths import expand_user
from fer.core.plugins import import_plugins
from fer.core.text import agree, counted
from fer.evaluation.bundles import ModelSource, list_models
from fer.evaluation.compared_runs import (
    ComparedRun,
    drop_equal_weights,
    earlier_score_notes,
    image_keys,
    load_compared_runs,
    record_test_scores,
)
from fer.evaluation.faces import choose_finder
from fer.evaluation.recipes import has_several_recipes, recipe_sentence, recipe_table, unique_names
from fer.evaluation.report_folder import check_writable
from fer.evaluation.results import Comparison
from fer.evaluation.rounding import accuracy_change
from fer.evaluation.runs import check_distinct_seeds
from fer.evaluation.sections.comparison import comparison_section, conclusions
from fer.evaluation.sections.disagreements import LoadImages, disagreements_section
from fer.evaluation.sections.exported import comparison_warnings, exported_section
from fer.evaluation.sections.protocol import SELECTION, split_label

SPLITS = ("train", "val", "test", "all")
# Title of the speed column, by whether the speed was measured
SPEED_TITLES = {True: "images/s", False: "images/s in training"}
SELECTION_NOTE = (
    "These validation images selected the checkpoint of each run, so all scores are slightly biased upwards."
)
SOME_SELECTED_NOTE = (
    "These validation images selected the checkpoint of {}, so its score is slightly biased upwards; not "
    "that of the others, as far as is known."
)
ONE_RECIPE_NOTE = (
    "The runs differ only in the seed: a difference between them is random variation of training."
)
CHECKPOINTS_NOTE = (
    "These are checkpoints of one recipe, some of them of one training run: they also differ in the epoch."
)
TRAINED_ON_NOTE = (
    "These images include training images of the models, so the scores do not show how they perform on new "
    "images."
)
TRAINING_IMAGES_NOTE = (
    "The recipes were trained on different images or labels, which may explain a difference between them."
)
SEEN_NOTE = "{1} of these {2} images {3} the same pixels as a training image of {0}."
CHANGED_IMAGES_NOTE = "The {} images have changed since the training of {}."
CHANGED_CODE_NOTE = (
    "{} scores {:.1%} here, but {:.1%} in its run.json: {}, and rounding explains at most {}. "
    "The code of its network has changed since training."
)
# Keys of a manifest that identify images in memory and on disk
_IMAGE_HASHES = ("pixels_sha256", "files_sha256")


def compare(
    runs: Sequence[ModelSource] = (),
    split: str | None = None,
    *,
    path: str | None = None,
    data: str | None = None,
    labels: Sequence[str] | None = None,
    onnx: Sequence[str | Path] = (),
    spec: Sequence[str | Path] = (),
    faces: bool = False,
    detector: str | None = None,
    metric: str = "accuracy",
    output: str | Path | None = None,
    with_speed: bool = True,
    plugins: Sequence[str] = (),
) -> Comparison:
    """Score runs without stored predictions, compare all runs and write the report.

    >>> comparison = fer.compare(["outputs/train/DATE/RUN_A", "outputs/train/DATE/RUN_B"], split="val")
    >>> comparison.conclusion, comparison.pairs[0].differences["accuracy"].low

    Args:
        runs: Two or more: run folders, ``.ckpt`` files, results of `fer.train`, or exported models: bundles
            (their folders, or names of models). Seeds of one recipe count as one candidate.
        split: ``train``, ``val``, ``test`` or ``all``; ``None``: val, or of another data set what it has.
        path: New path of the data of the runs; ``None`` if it has not moved.
        data: ``kind:path`` of another data set to compare on; ``None``: the data of the runs, on which
            exported models are then scored as well.
        labels: Emotions of its numbered folders, or of the numbers in its CSV file, in ascending order.
        onnx: Foreign ONNX files to compare as well.
        spec: How to run each of them (`fer.bundle.foreign_spec`); none: the YAML files beside them.
        faces: The images are photographs: detect and crop the faces; a missed face is a wrong answer.
        detector: The face detector, one of `fer.faces.detectors.DETECTORS`; ``None``: ``auto``.
        metric: One of `fer.analysis.metrics.paired.METRICS`, for the ranking and the conclusions.
        output: Folder for the report; ``None``: ``OUTPUTS/compare/TIME_SPLIT``.
        with_speed: Measure the speed; otherwise the report shows the speed of training.
        plugins: Modules with parts of one's own that the runs use (`fer.register_model`).

    Raises:
        FerError: A run cannot be scored, or the runs cannot be compared.
    """
    check_metric(metric)
    if split not in (None, *SPLITS):
        raise FerError(f"--split {split}: expected one of {', '.join(SPLITS)}.{did_you_mean(split, SPLITS)}")
    import_plugins(plugins, "--plugins")
    target = check_writable(expand_user(output)) if output else None
    finder = choose_finder(faces, detector, data)
    loaded = load_compared_runs(
        list_models(runs, onnx, spec), split, path, with_speed, other=data, labels=labels, faces=finder
    )
    compared, notes = drop_equal_weights(loaded)
    if has_several_recipes(compared):
        check_distinct_seeds((one.training_key, one.about.seed, one.about.checkpoint) for one in compared)
    name = f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{compared[0].about.role}"
    folder = target or check_writable(compared[0].outputs / "compare" / name)
    notes += earlier_score_notes(compared)
    record_test_scores(compared)
    notes += _notes(compared)
    return write_comparison(compared, metric, SPEED_TITLES[with_speed], notes, folder)


def write_comparison(
    runs: Sequence[ComparedRun], metric: str, speed: str, notes: list[str], folder: Path
) -> Comparison:
    """Compare under each set of labels and write the report with ``notes`` and a column titled ``speed``."""
    predictions = [one.predictions for one in runs]
    same_images = len({images_sha256(one) for one in predictions}) == 1
    matched = match_images(predictions, None if same_images else image_keys(runs))
    candidates = group_by_recipe(runs)
    recipes = {
        candidate.name: runs[candidate.members[0]].recipe
        for candidate in candidates
        if runs[candidate.members[0]].file_sha256 is None
    }
    several_recipes = len(recipes) > 1 and has_several_recipes(runs)
    notes = [*notes, recipe_sentence(recipes)] if several_recipes else notes
    rankings = [compare_candidates(images, candidates, metric) for images in matched]
    sections = []
    for number, (images, ranking) in enumerate(zip(matched, rankings, strict=True), 1):
        key = "compare" if number == 1 else f"compare_{number}"
        section = comparison_section(key, ranking, images, speed, notes)
        section.tables.extend([recipe_table(recipes)] if several_recipes else [])
        sections.append(section)
    load = _image_loader(runs[0], matched[0])
    sections.append(disagreements_section(rankings[0], matched[0], load))
    abouts = [one.about for one in runs]
    more = exported_section(abouts), comparison_warnings(abouts)
    sections += [section for section in more if section is not None]
    first, names = runs[0].about, ", ".join(one.about.run for one in runs)
    about = {"data": first.data, "split": first.split, "role": first.role, "run": names}
    kind = "models" if any(one.file_sha256 for one in runs) else "recipes" if several_recipes else "runs"
    title = f"Comparison of {len(candidates)} {kind}"
    page = write_report(folder, sections, title, about)
    return Comparison(rankings, conclusions(rankings[0]), page, sections)


def _image_loader(run: ComparedRun, matched: MatchedImages) -> LoadImages:
    """Return a function that loads matched images by their rows."""

    def load(rows: np.ndarray) -> np.ndarray:
        split = run.load_split()
        # Images that could not be read have no prediction
        scored = np.flatnonzero(np.isin(split.index, run.predictions.index))
        return split.data.images[scored[matched.rows[rows]]]

    return load


def group_by_recipe(runs: Sequence[ComparedRun]) -> list[Candidate]:
    """Group the seeds of each recipe into one candidate; with a single recipe, each run is a candidate."""
    groups: dict[Any, list[int]] = {}
    several_recipes = has_several_recipes(runs)
    for index, one in enumerate(runs):
        groups.setdefault(one.training_key if several_recipes else index, []).append(index)
    names = unique_names([runs[members[0]] for members in groups.values()])
    return [
        Candidate(
            name=name,
            members=tuple(members),
            runs=tuple(runs[i].about.run for i in members),
            parameters=runs[members[0]].about.parameters,
            megabytes=runs[members[0]].megabytes,
            images_per_second=_mean(runs[i].speed or runs[i].record.images_per_second for i in members),
            fit_seconds=_mean(runs[i].record.fit_seconds for i in members),
        )
        for name, members in zip(names, groups.values(), strict=True)
    ]


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _selection_notes(runs: Sequence[ComparedRun]) -> list[str]:
    """Return a note on the models whose checkpoint these images selected."""
    selected = [one.about.run for one in runs if split_label(one.about) == SELECTION]
    if len(selected) == len(runs):
        return [SELECTION_NOTE]
    return [SOME_SELECTED_NOTE.format(" and ".join(dict.fromkeys(selected)))] if selected else []


def _seen_notes(runs: Sequence[ComparedRun]) -> list[str]:
    """Return a note on each model that was trained on some of these images."""
    return [
        SEEN_NOTE.format(
            one.about.run, f"{count:,}", f"{len(one.predictions):,}", agree(count, "has", "have")
        )
        for one in runs
        if one.about.other_data and (count := one.about.seen.get("train"))
    ]


def _notes(runs: Sequence[ComparedRun]) -> list[str]:
    """Return notes on the split, on how runs were grouped, and on what changed since training."""
    role = runs[0].about.role
    notes = _selection_notes(runs)
    notes += [TRAINED_ON_NOTE] if role in ("train", "all") and not runs[0].about.other_data else []
    notes += _seen_notes(runs)
    seeds = [one.about.seed for one in runs]
    if not has_several_recipes(runs):
        notes.append(ONE_RECIPE_NOTE if len(set(seeds)) == len(seeds) else CHECKPOINTS_NOTE)
    elif len({one.training_images for one in runs} - {None}) > 1:
        notes.append(TRAINING_IMAGES_NOTE)
    for one in runs:
        if one.about.other_data or one.about.faces is not None:
            continue
        before, now = one.about.trained_on.get("splits", {}).get(role, {}), one.about.manifest
        is_changed = any(before[key] != now[key] for key in _IMAGE_HASHES if key in before and key in now)
        if is_changed:
            notes.append(CHANGED_IMAGES_NOTE.format(role, one.about.run))
        elif (change := accuracy_change(one.predictions, one.record)) is not None:
            images = f"{counted(change.images, 'image')} {agree(change.images, 'differs', 'differ')}"
            facts = change.now, change.then, images, change.tolerance
            notes.append(CHANGED_CODE_NOTE.format(one.about.run, *facts))
    return notes
