"""Model cards (`card.json`): how to run an exported model, how it was trained and evaluated, and its licence.

A card is plain JSON, described by `card.schema.json` in this folder. It contains the crop rule (`CropRule`):
how faces are cut out of an image for this model.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fer.core.errors import FerError
from fer.core.labels import LabelSpace, from_dict, to_dict
from fer.core.landmarks import ALIGNED
from fer.core.names import MAX_MODEL_NAME, is_reserved

SCHEMA_VERSION = 1
# A model's name becomes a folder of the registry.
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
NAME_RULE = "only letters, digits and . _ -, starting with a letter or digit"
# Name of the crop rule for data sets in which the position of faces was not measured.
UNMEASURED = "whole"
RESIZE = {"smaller": "mean over areas", "larger": "bilinear", "beyond_the_edge": "repeat the edge"}
# Landmarks of a neutral frontal face: medians of YuNet's landmarks on 1,390 FER2013 training images, as
# fractions of the image side, made symmetric. Right eye, left eye, nose tip, right and left mouth corner.
REFERENCE_LANDMARKS = ((0.321, 0.395), (0.679, 0.395), (0.5, 0.593), (0.348, 0.742), (0.652, 0.742))
# Expected types of the card's fields, of the entries of `model` and `licence`, and of each split's metrics.
_FIELD_TYPES: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "version": (int,),
    "labels": (dict,),
    "image_size": (int,),
    "crop": (dict,),
    "temperature": (int, float),
    "abstain_below": (int, float, type(None)),
    "attention": (bool,),
    "precision": (str,),
    "model": (dict,),
    "metrics": (dict,),
    "training": (dict,),
    "export": (dict,),
    "licence": (dict,),
    "created": (str,),
}
_NESTED_TYPES: dict[str, dict[str, type]] = {
    "model": {"sha256": str, "bytes": int, "parameters": int, "architecture": str},
    "licence": {"data": str, "weights": str},
}
_SPLIT_TYPES: dict[str, type] = {"split": str, "n": int, "selection_split": bool, "figures": dict}
# Key of the metrics on the images of a later calibration (fer-models calibrate), and of those before it.
CALIBRATION, BEFORE_CALIBRATION = "calibration", "before_calibration"
# Key of the manifest of an evaluated model: the hashes of these images.
CALIBRATED_ON = "calibrated_on"
# Key of a split's metrics: the mean of the probabilities on its images, ``(K,)``.
MEAN_PROBS = "mean_probs"
# A threshold that no confidence reaches, not even one that single precision rounds to 1.
UNREACHABLE = 1 + 2.0**-20
# Hashes in a split's manifest; two splits with equal hashes have the same images and labels.
_MANIFEST_HASHES = ("pixels_sha256", "files_sha256", "labels_sha256")


@dataclass(frozen=True)
class CropRule:
    """How to cut a face out of an image so that it is aligned as in the model's training images.

    Attributes:
        name: Data set on which the rule was measured.
        points: Target landmarks: right eye, left eye, nose tip, right and left mouth corner (the person's own
            right, so on the left of the image), each ``(x, y)`` as fractions of the side from the top left.
            Empty: crop by the detector's box, even if the detector gives landmarks.
        upright: If the detector gives landmarks, rotate the face upright: by the similarity transform onto
            ``points`` or, without ``points``, by the rotation angle of the one onto `REFERENCE_LANDMARKS`.
        box_scale: For crops by box: side of the square divided by the longer side of the detector's box.
        box_shift: For crops by box: vertical offset of the square's centre from the box's centre, positive
            downwards, as a fraction of the square's side.
        resize: Filters for downscaling and upscaling, and the padding beyond the image edge.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    upright: bool
    box_scale: float
    box_shift: float
    resize: dict[str, str] = field(default_factory=lambda: dict(RESIZE))


CROP_RULES = {
    # FER2013 was cropped by a detector's boxes, so the rule uses boxes too (docs/decisions/0010). In a random
    # sample of 1,500 training images, enlarged, the side of the image is 1.01 times that of Haar's box, 1.00
    # times YuNet's and 0.94 times MTCNN's, and its centre is 0.003 to 0.010 above theirs.
    "fer2013": CropRule(name="fer2013", points=(), upright=True, box_scale=0.98, box_shift=-0.01),
    # Faces that were aligned for training (`datamodule.landmarks`); without landmarks as for FER2013.
    "aligned": CropRule(name="aligned", points=ALIGNED, upright=True, box_scale=0.98, box_shift=-0.01),
    # Synthetic faces: true landmarks of 600, Haar's boxes of 591. The median absolute roll is 5.1 degrees.
    "synthetic": CropRule(
        name="synthetic",
        points=((0.373, 0.525), (0.627, 0.525), (0.5, 0.654), (0.385, 0.779), (0.615, 0.779)),
        upright=True,
        box_scale=1.37,
        box_shift=-0.1,
    ),
    # For data sets that were not measured: the detector's box, made square. Prefer a measured rule.
    UNMEASURED: CropRule(name=UNMEASURED, points=(), upright=False, box_scale=1.0, box_shift=0.0),
}


@dataclass(frozen=True)
class Card:
    """The content of a bundle's `card.json`.

    Attributes:
        name: Name of the model; see `NAME_RULE`.
        version: Version in a registry (`fer.bundle.registry`), counted from 1; 0 outside a registry.
        labels: Emotions in the order of the probabilities.
        image_size: Side of the square input images, in pixels.
        crop: How faces are cut out of an image.
        temperature: Divisor of the logits, already part of the ONNX graph.
        abstain_below: A prediction is uncertain if its highest probability is below this threshold. None: not
            calibrated, or calibrated but no threshold reached the target accuracy.
        attention: Whether the model has a second output, the attention map over the image: ``(N, S, S)`` in
            [0, 1], S = `image_size`.
        precision: ``fp32``, ``fp16`` or ``int8``.
        model: ``file``, ``sha256``, ``bytes``, ``parameters``, ``architecture`` of `model.onnx`.
        metrics: By split: published name, n, whether the split selected the model, metrics with intervals,
            and ``confusion``, K rows of K counts (one row per true emotion), which older cards lack.
        training: Command, experiment, seed, epochs, commit, manifest of the data. For an ensemble those of
            the first model, with the other models in ``members``.
        export: Package versions, parity with torch, calibration and quantisation results.
        licence: Terms of the ``weights`` and of the ``data``.
        created: UTC, ISO 8601.
    """

    name: str
    version: int
    labels: LabelSpace
    image_size: int
    crop: CropRule
    temperature: float
    abstain_below: float | None
    attention: bool
    precision: str
    model: dict[str, Any]
    metrics: dict[str, Any]
    training: dict[str, Any]
    export: dict[str, Any]
    licence: dict[str, str]
    created: str
    schema_version: int = field(default=SCHEMA_VERSION)

    @property
    def uncertain_below(self) -> float | None:
        """Threshold as applied: of a calibrated model without a threshold, every prediction is uncertain."""
        is_calibrated = self.export.get("calibration") is not None
        return UNREACHABLE if self.abstain_below is None and is_calibrated else self.abstain_below


def check_name(name: str) -> None:
    """Check a name for a new model.

    Raises:
        FerError: It cannot be the name of a folder on every system, or is too long.
    """
    if not NAME_PATTERN.fullmatch(name) or len(name) > MAX_MODEL_NAME or is_reserved(name):
        raise FerError(
            f"--name: expected {NAME_RULE}, at most {MAX_MODEL_NAME}, and no name that Windows refuses, got "
            f"{name!r}. Choose another name."
        )


def model_name(card: Card) -> str:
    """Return the model's name, in a registry with its version, e.g. ``fast:3``."""
    return f"{card.name}:{card.version}" if card.version else card.name


def trainings(card: Card) -> list[Mapping[str, Any]]:
    """Return what is known of the training of the model, or of each member of an ensemble."""
    return [card.training, *card.training.get("members", [])]


def validation_metrics(card: Card) -> Mapping[str, Any]:
    """Return the metrics of the validation split, or else of a later calibration; empty without any."""
    return card.metrics.get("val") or card.metrics.get(CALIBRATION, {})


def same_images(first: Card, second: Card) -> bool:
    """Return whether two models were validated on the same images with the same labels."""
    manifests = [validation_metrics(card).get("manifest", {}) for card in (first, second)]
    known = [key for key in _MANIFEST_HASHES if key in manifests[0]]
    return bool(known) and all(manifests[0][key] == manifests[1].get(key) for key in known)


def to_json(card: Card) -> str:
    """Return the card as the text of `card.json`."""
    content = asdict(card) | {"labels": to_dict(card.labels)}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def read_card(path: Path) -> Card:
    """Read and validate a `card.json`.

    Raises:
        FerError: The file is missing, not JSON, of a newer schema, or a field is missing or invalid.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FerError(f"{path}: expected a model card, cannot read it ({error.strerror}).") from error
    except ValueError as error:
        raise FerError(
            f"{path}: expected a model card, got truncated or damaged JSON: {error}. Export the model again."
        ) from error
    try:
        _check_fields(content)
        crop = content["crop"]
        crop = CropRule(**crop | {"points": tuple((float(x), float(y)) for x, y in crop["points"])})
        if len(crop.points) not in (0, 5) or not crop.box_scale > 0:
            raise FerError(
                f"crop: expected five points or none, and box_scale > 0, got {len(crop.points)} points and "
                f"box_scale {crop.box_scale}. Export the model again."
            )
        labels = from_dict(content["labels"])
        _check_metrics(content["metrics"], len(labels))
        if not isinstance(content["export"].get("quantisation"), dict | None):
            raise FerError("export.quantisation: expected an object or null. Export the model again.")
        members = content["training"].get("members", [])
        if not (isinstance(members, list) and all(isinstance(member, dict) for member in members)):
            raise FerError("training.members: expected a list of objects. Export the model again.")
        return Card(**content | {"labels": labels, "crop": crop})
    except (ValueError, TypeError, KeyError) as error:
        raise FerError(f"{path}: expected a model card, got invalid content: {error}") from error


def _check_fields(content: Any) -> None:
    """Check the schema version, and that every field is present and of the right type."""
    if not isinstance(content, dict) or not isinstance(content.get("schema_version"), int):
        raise FerError("schema_version: expected an integer. Export the model again.")
    if content["schema_version"] > SCHEMA_VERSION:
        raise FerError(
            f"schema_version: expected {SCHEMA_VERSION} or older, got {content['schema_version']}. "
            "Install a newer version of this package."
        )
    wrong = [name for name, kind in _FIELD_TYPES.items() if not isinstance(content.get(name, ...), kind)]
    wrong += [f"{part}.{name}" for part, kinds in _NESTED_TYPES.items() if part not in wrong
              for name, kind in kinds.items() if not isinstance(content[part].get(name), kind)]  # fmt: skip
    if wrong:
        raise FerError(f"missing or of the wrong type: {', '.join(wrong)}. Export the model again.")
    if not NAME_PATTERN.fullmatch(content["name"]):
        raise FerError(f"name: expected {NAME_RULE}, got {content['name']!r}. Export the model again.")


def _check_metrics(metrics: dict[str, Any], num_classes: int) -> None:
    """Check the metrics of each split: a card may have been edited by hand."""
    for role, part in metrics.items():
        if not isinstance(part, dict):
            raise FerError(f"metrics.{role}: expected the metrics of a split. Export the model again.")
        wrong = [name for name, kind in _SPLIT_TYPES.items() if not isinstance(part.get(name), kind)]
        if "figures" not in wrong:
            wrong += [f"figures.{name}" for name, value in part["figures"].items() if not _is_estimate(value)]
        if wrong:
            names = ", ".join(f"metrics.{role}.{name}" for name in wrong)
            raise FerError(f"missing or of the wrong type: {names}. Export the model again.")
        if part.get("confusion") is not None and not _is_square(part["confusion"], num_classes):
            raise FerError(
                f"metrics.{role}.confusion: expected {num_classes} rows of {num_classes} counts of images. "
                "Export the model again."
            )


def _is_estimate(entry: Any) -> bool:
    """Return whether this is a number or null, with both bounds of an interval or neither."""
    if not isinstance(entry, dict) or "value" not in entry:
        return False
    bounds = [entry.get("low"), entry.get("high")]
    known = [value for value in (entry["value"], *bounds) if value is not None]
    return bounds.count(None) != 1 and all(isinstance(value, int | float) for value in known)


def _is_square(rows: Any, side: int) -> bool:
    """Return whether this is a ``side`` x ``side`` matrix of counts."""
    return (isinstance(rows, list) and len(rows) == side) and all(
        isinstance(row, list)
        and len(row) == side
        and all(isinstance(count, int) and count >= 0 for count in row)
        for row in rows
    )
