"""Accuracy of the models of a benchmark, on the same images. Measured by the code of fer-evaluate."""

from collections.abc import Sequence
from typing import Any

from fer.benchmark.models import BenchmarkModel
from fer.bundle.card import Card, validation_metrics
from fer.bundle.foreign_spec import OnnxFile
from fer.core.errors import FerError


def accuracy_of(card: Card) -> dict[str, Any] | None:
    """Return the validation accuracy of a card with its interval and images; None if it has none."""
    metrics = validation_metrics(card)
    figure = metrics.get("figures", {}).get("accuracy")
    if figure is None or figure["value"] is None:
        return None
    images = {"images": metrics["split"], "n": metrics["n"], "selection_split": metrics["selection_split"]}
    return {**figure, **images, "measured": False}


def measure_accuracy(models: Sequence[BenchmarkModel], data: str, device: str) -> list[dict[str, Any]]:
    """Score models on a data set: on its validation split, or all images of one without splits.

    Args:
        models: One or more.
        data: ``kind:path`` as for fer-evaluate.
        device: Where they run, from `fer.bundle.providers.choose_device`.

    Returns:
        JSON values for each model: ``value``, ``low`` and ``high`` (95 % interval), ``images``, ``n`` and
        ``selection_split``: whether the card says that the model was selected on these images; None for a
        foreign file, of which that is not known.

    Raises:
        FerError: The data cannot be read, has no such split, or the packages for evaluation are missing.
    """
    try:
        from fer.analysis.metrics.classification import accuracy_estimate, confusion_counts
        from fer.evaluation.bundles import load_model
        from fer.evaluation.data import EvaluationData
        from fer.evaluation.score import score_run
    except ModuleNotFoundError as error:
        raise FerError(
            f"--data: expected the packages for evaluation, but {error.name} is not installed. Install "
            "them with pip install 'fer-lightning[train]', or omit --data."
        ) from error
    results = []
    for model in models:
        source = model.bundle.folder if model.bundle is not None else OnnxFile(model.path, model.spec)
        run = load_model(source, device=device)
        evaluation = EvaluationData(run, None, other=data)
        if evaluation.role == "test":
            raise FerError(
                f"--data {data}: expected a validation split or a data set without splits, got only a test "
                "split. Score it with fer-evaluate, which records that."
            )
        split = evaluation.split
        predictions = score_run(run, split, evaluation.provenance(run).about).predictions
        counts = confusion_counts(predictions.target, predictions.preds, len(run.checkpoint.labels))
        figure = accuracy_estimate(counts)
        selected = None if model.bundle is None else _is_selection(model.bundle.card, split.manifest())
        results.append({
            "value": figure.value, "low": figure.low, "high": figure.high, "images": split.name,
            "n": len(predictions), "selection_split": selected, "measured": True,
        })  # fmt: skip
    return results


def _is_selection(card: Card, manifest: dict[str, Any]) -> bool:
    """Return whether a model was selected on the images with this manifest."""
    metrics = validation_metrics(card)
    stored = metrics.get("manifest", {}).get("pixels_sha256")
    return bool(metrics.get("selection_split") and stored and stored == manifest.get("pixels_sha256"))
