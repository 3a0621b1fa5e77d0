"""Generate a bundle's README.md from its card, so that the model can be used without this package."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fer.bundle.card import REFERENCE_LANDMARKS, UNMEASURED, Card, CropRule, trainings
from fer.core.text import percent

_METRICS = {"accuracy": "accuracy", "macro_f1": "macro-F1", "uar": "UAR (balanced accuracy)",
            "ece_mass": "calibration error (ECE)", "coverage": "certain predictions",
            "selective_accuracy": "accuracy of certain predictions"}  # fmt: skip
INTENDED_USE = (
    "An expression is not a feeling. The model predicts which emotion people would most likely name when "
    "they see this face; it does not know what the person feels. Do not use it to make decisions about "
    "people: not in hiring, school, policing, insurance or medicine."
)
_RESIZE = (
    "Downscale by area averaging, upscale bilinearly, and replicate the edge beyond the image. Other filters "
    "change up to one prediction in ten on large faces."
)


def readme(card: Card) -> str:
    """Return the text of `README.md`."""
    sections = [
        _title(card), _usage(card), _input(card), _output(card), _metrics(card), _training_section(card),
        _licence(card),
    ]  # fmt: skip
    return "\n\n".join(sections) + "\n"


def _title(card: Card) -> str:
    version = f", version {card.version}" if card.version else ""
    size = f"{card.model['bytes'] / 1e6:.1f} MB, {card.model['parameters'] / 1e6:.2f} million parameters"
    return (
        f"# {card.name}{version}\n\n"
        f"A classifier for facial expressions: {card.model['architecture']}, {size}, {card.precision}. "
        "`model.onnx` is the complete model, `card.json` its machine-readable "
        f"description.\n\n{INTENDED_USE}"
    )


def _usage(card: Card) -> str:
    return f"""## Usage

With this package: `fer-predict photo.jpg --model FOLDER`. With ONNX Runtime and Pillow alone, on a face that
is already cropped:

```python
import json
import numpy as np
import onnxruntime
from PIL import Image

card = json.load(open("card.json"))
session = onnxruntime.InferenceSession("model.onnx")
face = Image.open("face.png").convert("RGB")
shrinks = face.width > {card.image_size}
face = face.resize(({card.image_size}, {card.image_size}), Image.BOX if shrinks else Image.BILINEAR)
probabilities = session.run(["probabilities"], {{"faces": np.asarray(face)[None]}})[0][0]
print(dict(zip(card["labels"]["names"], probabilities.round(3).tolist())))
```"""


def _input(card: Card) -> str:
    side = card.image_size
    return f"""## Input

`faces`: uint8 (0 to 255), shape (N, {side}, {side}, 3), RGB, any batch size N. For grayscale images, repeat
the channel three times. Scaling and normalisation are part of the model.

{_crop(card)}"""


def _crop(card: Card) -> str:
    crop = card.crop
    if not crop.points:
        intro = f"Crop faces as in {crop.name}: "
        if crop.name == UNMEASURED:
            intro = "The position of faces in the training images was not measured. This package crops "
        rotation = (
            "If the detector gives landmarks, rotate the face upright: by the rotation angle of the "
            "similarity transform (least squares) from its landmarks onto those of a neutral frontal face, "
            "below. "
            if crop.upright
            else ""
        )
        landmarks = f"\n\n{_landmark_table(REFERENCE_LANDMARKS)}" if crop.upright else ""
        return f"{intro}{_crop_by_box(crop)}. {rotation}{_RESIZE}{landmarks}"
    rotation = "rotated upright, " if crop.upright else ""
    return (
        f"Crop a square around each face ({rotation}as in {crop.name}) so that its landmarks are at these "
        "positions, as fractions of the side from the top left (right and left are the person's own):\n\n"
        f"{_landmark_table(crop.points)}\n\n"
        f"Without landmarks: {_crop_by_box(crop)}. {_RESIZE}"
    )


def _landmark_table(points: Sequence[tuple[float, float]]) -> str:
    names = ("right eye", "left eye", "nose tip", "right mouth corner", "left mouth corner")
    rows = [f"| {name} | {x:.3f} | {y:.3f} |" for name, (x, y) in zip(names, points, strict=True)]
    return "\n".join(["| landmark | from the left | from the top |", "|---|---|---|", *rows])


def _crop_by_box(crop: CropRule) -> str:
    square = f"a square of {crop.box_scale:g} times the longer side of the detector's box"
    if not crop.box_shift:
        return f"{square}, centred on the box"
    direction = "below" if crop.box_shift > 0 else "above"
    return f"{square}, its centre {abs(crop.box_shift):g} of that side {direction} the centre of the box"


def _output(card: Card) -> str:
    names = "\n".join(f"{index}. {name}" for index, name in enumerate(card.labels.names))
    text = (
        f"## Output\n\n`probabilities`: float32 (N, {len(card.labels)}), the probability of each emotion; "
        f"rows sum to 1. The order, counted from 0:\n\n{names}\n\n{_calibration(card)}"
    )
    if card.export.get("tta") == "flip":
        text += " Each is the mean over the face and its mirror image, which the model makes itself."
    if card.abstain_below is not None:
        text += (
            f" Treat a prediction as uncertain if its highest probability is below {card.abstain_below:.2f}."
        )
    elif card.export.get("calibration") is not None:
        images = "these images" if card.export.get("recalibration") else "validation"
        text += (
            f" No confidence threshold reached the target accuracy on {images}: treat every prediction as "
            "uncertain."
        )
    if card.attention:
        text += (
            f"\n\n`attention`: float32 (N, {card.image_size}, {card.image_size}), the model's attention over "
            "the image, 0 to 1."
        )
    return text


def _calibration(card: Card) -> str:
    if card.export.get("calibration") is None:
        return "They are not calibrated: they rank the emotions, but are not the chance of being right."
    text = f"They are calibrated: the model divides the logits by a temperature of {card.temperature:.3f}."
    return text + _recalibration(card)


def _recalibration(card: Card) -> str:
    """Return what fer-models calibrate has changed; empty for a card of fer-export."""
    changed = card.export.get("recalibration")
    if changed is None:
        return ""
    base = changed["base"]
    text = (
        f" This, and the threshold, was fitted again to {card.export['calibration']['split']} "
        f"({changed['n']:,} images); {base['model']} has a temperature of {base['temperature']:.3f}."
    )
    if (priors := changed.get("priors")) is not None:
        frequencies = ", ".join(f"{name} {percent(value)}" for name, value in priors["estimated"].items())
        source = f"{priors['n']:,} other images" if priors["n"] else "the same images"
        text += (
            " The model also adds a number to the logit of each emotion, for how often it occurs where the "
            f"model is used, estimated from its answers to {source} without their labels (Saerens et al. "
            f"2002): {frequencies}."
        )
    elif (biases := changed.get("log_prior")) is not None:
        added = ", ".join(f"{name} {bias:+.2f}" for name, bias in zip(card.labels.names, biases, strict=True))
        text += (
            " The model also adds a number to the logit of each emotion, fitted to the labels of the same "
            f"images: {added}."
        )
    return text


def _metrics(card: Card) -> str:
    rows = [row for part in card.metrics.values() for row in _metric_rows(part)]
    if not rows:
        return "## Metrics\n\nThe metrics were not measured."
    table = "\n".join(["| images | n | metric | value | 95 % interval |", "|---|---|---|---|---|", *rows])
    warning = ""
    if any(part["selection_split"] for part in card.metrics.values()):
        warning = (
            "\n\nThe model was selected on the selection split, so its metrics there are optimistic "
            "(selection bias)."
        )
    for part in card.metrics.values():
        if part.get("cross_fitted", {}).get("figures", ())[:1] == ["accuracy"]:
            warning += (
                f"\n\nMetrics on {part['split']} are cross-fitted in {part['cross_fitted']['folds']} folds: "
                "each image is answered with what was fitted on the other folds."
            )
        elif folds := part.get("cross_fitted", {}).get("folds"):
            warning += (
                f"\n\nThe calibration error on {part['split']} is cross-fitted in {folds} folds: each image "
                "is scored with a temperature that was fitted on the other folds."
            )
    return f"## Metrics\n\n{table}{warning}"


def _metric_rows(part: Mapping[str, Any]) -> Iterator[str]:
    """Yield a table row for each measured metric of a split."""
    name = part["split"] + (", selection split" if part["selection_split"] else "")
    name += f" ({part['of']})" if part.get("of") else ""
    for key, title in _METRICS.items():
        estimate = part["figures"].get(key)
        if estimate is None or estimate["value"] is None or not _is_unbiased(key, part):
            continue
        low, high = estimate.get("low"), estimate.get("high")
        interval = "not measured" if low is None else f"{100 * low:.1f} to {percent(high)}"
        yield f"| {name} | {part['n']:,} | {title} | {percent(estimate['value'])} | {interval} |"


def _is_unbiased(key: str, part: Mapping[str, Any]) -> bool:
    """Return whether a metric was not measured with a temperature that was fitted on the same images."""
    return key != "ece_mass" or bool(part.get("cross_fitted")) or not part["selection_split"]


def _training_section(card: Card) -> str:
    members = trainings(card)
    parts = ["## Training"]
    if len(members) > 1:
        parts.append(f"An ensemble: the mean of the probabilities of {len(members)} models.")
    for number, member in enumerate(members, 1):
        parts += [f"Model {number}:"] * (len(members) > 1) + [_training_facts(member)]
    if summary := (card.export.get("quantisation") or {}).get("said"):
        parts.append(f"Quantisation: {summary}")
    return "\n\n".join(parts)


def _training_facts(training: Mapping[str, Any]) -> str:
    """Return the facts needed to reproduce one model, as a list."""
    keys = ("command", "experiment", "run", "seed", "epoch", "commit", "data")
    rows = [f"- {key}: {training[key]}" for key in keys if training.get(key) is not None]
    if origin := training.get("init_from"):
        data = ", ".join(origin.get("data") or ["unknown data"])
        rows.append(f"- initial weights: {origin['path']}, trained on {data}")
    for teacher in training.get("teachers") or []:
        data = ", ".join(teacher.get("data") or ["unknown data"])
        rows.append(f"- learned from a teacher: {teacher['path']}, trained on {data}")
    return "\n".join(rows)


def _licence(card: Card) -> str:
    return f"## Licence\n\nData: {card.licence['data']}\n\nWeights: {card.licence['weights']}"
