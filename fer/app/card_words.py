"""A model card in words: what the model is, what it was trained on, where it fails, what it is not for."""

from collections.abc import Mapping
from typing import Any

from fer.app.facts import EmotionFacts, figure, made, megabytes, percent, scored_on, trained_on
from fer.bundle.card import Card

WARNING = (
    "**An expression is not a feeling.** The model says which emotion people would most likely name when "
    "they see this face. It does not know what the person feels. **Do not decide about people with it**: "
    "not in hiring, school, policing, insurance or medicine."
)
OVERALL = {
    "accuracy": "Accuracy",
    "macro_f1": "Macro-F1",
    "uar": "Balanced accuracy (UAR)",
    "ece_mass": "Calibration error (ECE)",
}
_PRECISIONS = {"int8": "8-bit whole numbers", "fp16": "16-bit numbers", "fp32": "32-bit numbers"}
_FEW = 100  # images of an emotion below which its figures are rough


def summary(card: Card) -> str:
    """Return what the model is, in two sentences."""
    names = ", ".join(card.labels.names[:-1]) + f" and {card.labels.names[-1]}"
    precision = _PRECISIONS.get(card.precision, card.precision)
    members = len(card.training.get("members", [])) + 1
    kind = f"A network of the kind {card.model['architecture']}"
    if members > 1:
        kind = f"The mean of {members} networks ({card.model['architecture']})"
    return (
        f"{kind} that tells {len(card.labels)} emotions apart: {names}. It was trained on "
        f"{trained_on(card)}, looks at faces of {card.image_size} x {card.image_size} pixels, has "
        f"{card.model['parameters'] / 1e6:.2f} million parameters in {precision} ({megabytes(card)}), and "
        f"was made on {made(card)}."
    )


def overall(part: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the main figures with their intervals, without those that were not measured."""
    found = [(title, figure(part, name)) for name, title in OVERALL.items()]
    return [(title, percent(value)) for title, value in found if value]


def on_which_images(part: Mapping[str, Any]) -> str:
    """Return which images the figures are of, and what that means."""
    if not part:
        return "Nothing was measured for this card."
    flattered = ""
    if part.get("selection_split"):
        flattered = (
            " The model was chosen on them, which flatters it; so was its confidence, where it is calibrated."
        )
    return f"On {scored_on(part)}. In brackets: 95 % intervals.{flattered}"


def confidence(card: Card) -> str:
    """Return what a percentage on the other pages is worth."""
    calibration = card.export.get("calibration")
    if calibration is None:
        return "Its percentages are not calibrated: they rank emotions, and are no chances of being right."
    said = f"Its percentages are calibrated on {calibration.get('split', 'validation images')}"
    threshold = calibration.get("threshold") or {}
    if card.abstain_below is None:
        return f"{said}. No confidence was high enough there to be relied on: take all answers as uncertain."
    said += f". Below {100 * card.abstain_below:.0f} % an answer is called uncertain"
    if not {"accuracy", "coverage"} <= set(threshold):
        return f"{said}."
    return (
        f"{said}: there, {100 * threshold['coverage']:.0f} % of the answers were certain, and "
        f"{100 * threshold['accuracy']:.0f} % of those were right."
    )


def limits(card: Card, emotions: list[EmotionFacts]) -> list[str]:
    """Return where the model fails or was never tried, a sentence or two each."""
    return [
        *_weakest(emotions),
        *_rare(emotions),
        "Labels are what annotators read into a picture. They disagree often, and so people would with the "
        "model.",
        "Faces that are turned away, covered, very small, blurred or drawn were hardly seen in training.",
        "How well it works for people of different age, sex, skin colour or culture was not measured here. "
        "Expect differences.",
        "Only the face counts: not the situation, the voice, the body or what happened before.",
    ]


def _weakest(emotions: list[EmotionFacts]) -> list[str]:
    known = [emotion for emotion in emotions if emotion.f1]
    if len(known) < 2:
        return []
    worst = sorted(known, key=lambda emotion: emotion.f1["value"])[:2]
    words = " and ".join(f"{emotion.name} (F1 {100 * emotion.f1['value']:.0f} %)" for emotion in worst)
    return [f"Weakest at {words}: answers of these emotions need a second look."]


def _rare(emotions: list[EmotionFacts]) -> list[str]:
    counted = [(emotion.name, emotion.n) for emotion in emotions if emotion.n is not None]
    rare = [f"{name} ({n})" for name, n in counted if n < _FEW]
    return [f"Few images were scored of {', '.join(rare)}: those figures are rough."] if rare else []


def most_confused(names: tuple[str, ...], counts: list[list[int]]) -> str:
    """Return the most frequent error in a sentence; empty where there is none."""
    pairs = [
        (counts[true][said], true, said)
        for true in range(len(names)) for said in range(len(names)) if true != said and counts[true][said]
    ]  # fmt: skip
    if not pairs:
        return ""
    count, true, said = max(pairs)
    return (
        f"The most frequent error: {names[true]} said to be {names[said]}, {count:,} of "
        f"{sum(counts[true]):,} images of {names[true]}."
    )


def origin(card: Card) -> list[tuple[str, str]]:
    """Return how the model came about, for those who want to make it again."""
    known = ("command", "experiment", "run", "seed", "epoch", "epochs", "commit")
    members = [card.training, *card.training.get("members", [])]
    pairs = [
        (name if len(members) == 1 else f"{name}, model {number}", str(one[name]))
        for number, one in enumerate(members, 1)
        for name in known
        if one.get(name) is not None
    ]
    parity = card.export.get("parity") or {}
    if "max_difference" in parity and parity.get("precision") == card.precision:
        pairs.append(("largest difference from training", f"{parity['max_difference']:.1e}"))
    return [*pairs, ("SHA-256 of the model", card.model["sha256"])]
