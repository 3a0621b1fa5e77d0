"""A model card as text and formatted values: metrics with confidence intervals, limitations, provenance."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fer.bundle.card import CALIBRATION, Card, trainings
from fer.core.text import with_interval

WARNING = (
    "**An expression is not a feeling.** The model predicts which emotion people would most likely see in "
    "this face. It does not know what the person feels. **Do not use it to make decisions about people**: "
    "not in hiring, education, policing, insurance or medicine."
)
OVERALL_METRICS = {
    "accuracy": "Accuracy",
    "macro_f1": "Macro-F1",
    "uar": "Balanced accuracy (UAR)",
    "ece_mass": "Calibration error (ECE)",
}
# Emotions with fewer images than this have imprecise metrics.
_FEW_IMAGES = 100
# Shown in place of a value that the card does not have.
MISSING = "–"
# The test split comes first: no model was selected on it.
_SPLITS = ("test", "val", CALIBRATION)
# Keys of the metrics of one emotion.
_PER_EMOTION = ("precision", "recall", "f1")


@dataclass(frozen=True)
class EmotionScores:
    """Precision, recall and F1 of one emotion, each an estimate of the card, or empty if not measured.

    Attributes:
        n: Images with this label; None if the card has no confusion matrix.
    """

    name: str
    n: int | None
    precision: Mapping[str, Any]
    recall: Mapping[str, Any]
    f1: Mapping[str, Any]


def summary(card: Card) -> str:
    """Return a description of the model, in two sentences."""
    names = ", ".join(card.labels.names[:-1]) + f" and {card.labels.names[-1]}"
    members = len(card.training.get("members", [])) + 1
    model = f"A {card.model['architecture']} network"
    if members > 1:
        model = f"An ensemble of {members} {card.model['architecture']} networks"
    return (
        f"{model} that classifies faces into {len(card.labels)} emotions: {names}. It was trained on "
        f"{training_data(card)}, takes faces of {card.image_size} x {card.image_size} pixels, has "
        f"{card.model['parameters'] / 1e6:.2f} million parameters in {card.precision} ({format_size(card)}), "
        f"and was exported on {export_date(card)}."
    )


def overall_metrics(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return title and formatted value of the main metrics, without those that were not measured."""
    values = [(title, estimate(metrics, name)) for name, title in OVERALL_METRICS.items()]
    return [(title, format_estimate(value)) for title, value in values if value]


def describe_metrics(metrics: Mapping[str, Any]) -> str:
    """Return which images the metrics were measured on, and whether they are biased."""
    if not metrics:
        return "This card has no metrics."
    bias = ""
    if metrics.get("selection_split"):
        folds = metrics.get("cross_fitted", {}).get("folds")
        calibrated = "" if folds else ", and its probabilities calibrated,"
        bias = (
            f" The model was selected{calibrated} on these images, so the metrics are optimistic (selection "
            "bias)."
        )
        if folds:
            bias += f" The calibration error is cross-fitted in {folds} folds."
    return f"Measured on {describe_split(metrics)}. Brackets: 95 % confidence intervals.{bias}"


def describe_calibration(card: Card) -> str:
    """Return how far the model's probabilities can be trusted."""
    calibration = card.export.get("calibration")
    if calibration is None:
        return (
            "The probabilities are not calibrated: they rank the emotions, but do not say how often the "
            "prediction is correct."
        )
    text = f"The probabilities are calibrated on {calibration.get('split', 'validation images')}"
    threshold = calibration.get("threshold") or {}
    if card.abstain_below is None:
        return (
            f"{text}. No confidence threshold reached the target accuracy there: treat all predictions as "
            "uncertain."
        )
    text += f". A prediction with a confidence below {100 * card.abstain_below:.0f} % is marked uncertain"
    if not {"accuracy", "coverage"} <= set(threshold):
        return f"{text}."
    return (
        f"{text}: on those images, {100 * threshold['coverage']:.0f} % of the predictions were certain, and "
        f"{100 * threshold['accuracy']:.0f} % of the certain ones were correct."
    )


def limitations(card: Card, emotions: list[EmotionScores]) -> list[str]:
    """Return the known limitations of the model, one or two sentences each."""
    return [
        *_lowest_f1(emotions),
        *_few_images(emotions),
        "The labels are annotators' judgements of an image. Annotators often disagree with each other, and "
        "people will also disagree with the model.",
        "The training data has few faces that are turned away, occluded, very small, blurred or drawn.",
        "Performance by age, sex, skin colour and culture was not measured. Expect differences.",
        "The model sees only the face: not the situation, the voice, the body or what happened before.",
    ]


def _lowest_f1(emotions: list[EmotionScores]) -> list[str]:
    scored = [emotion for emotion in emotions if emotion.f1]
    if len(scored) < 2:
        return []
    lowest = sorted(scored, key=lambda emotion: emotion.f1["value"])[:2]
    names = " and ".join(f"{emotion.name} (F1 {100 * emotion.f1['value']:.0f} %)" for emotion in lowest)
    return [f"Lowest F1: {names}. Check predictions of these emotions yourself."]


def _few_images(emotions: list[EmotionScores]) -> list[str]:
    counts = [(emotion.name, emotion.n) for emotion in emotions if emotion.n is not None]
    rare = [f"{name} ({n})" for name, n in counts if n < _FEW_IMAGES]
    return [f"Few evaluation images: {', '.join(rare)}. Their metrics are imprecise."] if rare else []


def most_frequent_error(names: tuple[str, ...], counts: list[list[int]]) -> str:
    """Return the most frequent confusion as a sentence; empty if there are no errors.

    Args:
        names: The K emotions.
        counts: Confusion matrix, K rows (true emotions) of K counts (predicted emotions).
    """
    errors = [
        (counts[true][predicted], true, predicted)
        for true in range(len(names))
        for predicted in range(len(names))
        if true != predicted and counts[true][predicted]
    ]
    if not errors:
        return ""
    count, true, predicted = max(errors)
    return (
        f"Most frequent error: {names[true]} predicted as {names[predicted]}, {count:,} of "
        f"{sum(counts[true]):,} {names[true]} images."
    )


def provenance(card: Card) -> list[tuple[str, str]]:
    """Return the information needed to reproduce the model, as (name, value) pairs."""
    fields = ("command", "experiment", "run", "seed", "epoch", "epochs", "commit")
    members = trainings(card)
    pairs = [
        (name if len(members) == 1 else f"{name}, model {number}", str(member[name]))
        for number, member in enumerate(members, 1)
        for name in fields
        if member.get(name) is not None
    ]
    parity = card.export.get("parity") or {}
    if "max_difference" in parity and parity.get("precision") == card.precision:
        pairs.append(("largest difference from the PyTorch model", f"{parity['max_difference']:.1e}"))
    return [*pairs, ("SHA-256 of the model file", card.model["sha256"])]


def primary_metrics(card: Card) -> Mapping[str, Any]:
    """Return the metrics of the test split, else of validation or a calibration, else an empty mapping."""
    return next((card.metrics[split] for split in _SPLITS if split in card.metrics), {})


def estimate(metrics: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return one metric of a split with keys ``value``, ``low`` and ``high``; empty if not measured."""
    result = metrics.get("figures", {}).get(name, {})
    return result if result.get("value") is not None else {}


def format_estimate(value: Mapping[str, Any]) -> str:
    """Return an estimate as ``63.6 % [62.2, 65.0]``, without brackets if it has no interval."""
    if not value:
        return MISSING
    low, high = value.get("low"), value.get("high")
    return with_interval(value["value"], low, high, lambda fraction: f"{100 * fraction:.1f}", " %")


def format_size(card: Card) -> str:
    """Return the size of the model file, e.g. ``0.41 MB``."""
    return f"{card.model['bytes'] / 1e6:.2f} MB"


def export_latency_ms(card: Card) -> float | None:
    """Return the milliseconds per face measured at export; None if they were not measured."""
    latencies = (card.export.get("quantisation") or {}).get("speed", {}).get("batch_1", {})
    latency = latencies.get(f"{card.precision}_ms")
    return None if latency is None else float(latency)


def training_data(card: Card) -> str:
    """Return the names of the data sets that the model, or each member of an ensemble, was trained on."""
    names = dict.fromkeys(str(member["data"]) for member in trainings(card) if member.get("data"))
    return ", ".join(names) or MISSING


def export_date(card: Card) -> str:
    """Return the day of the export, e.g. ``2026-11-23``."""
    return card.created[:10] or MISSING


def describe_split(metrics: Mapping[str, Any]) -> str:
    """Return the split and number of images of the metrics, and whether the model was selected on them."""
    if not metrics:
        return MISSING
    selection = ", selection split" if metrics.get("selection_split") else ""
    subset = f", {metrics['of']}" if metrics.get("of") else ""
    return f"{metrics['split']}, {metrics['n']:,} images{selection}{subset}"


def scores_by_emotion(card: Card, metrics: Mapping[str, Any]) -> list[EmotionScores]:
    """Return the scores of each emotion in the card's order; empty if the split has none."""
    counts = metrics.get("confusion")
    scores = [
        EmotionScores(
            name,
            sum(counts[row]) if counts else None,
            *(estimate(metrics, f"{key}/{name}") for key in _PER_EMOTION),
        )
        for row, name in enumerate(card.labels.names)
    ]
    return scores if any(emotion.f1 or emotion.recall for emotion in scores) else []
