"""The card of a model: everything that one has to know to run it, to believe it, and to leave it alone.

A card is plain JSON. Its fields are described in `card.schema.json` beside this file.
"""

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fer.errors import FerError
from fer.labels import LabelSpace, from_dict, to_dict

SCHEMA_VERSION = 1
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # of a model
NAME_FORM = "letters, digits and ._- alone, a letter or digit first"
UNMEASURED = "whole"  # the crop rule of pictures in which nobody measured how faces lie
_KINDS: dict[str, tuple[type, ...]] = {
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
_PARTS: dict[str, dict[str, type]] = {
    "model": {"sha256": str, "bytes": int, "parameters": int, "architecture": str},
    "licence": {"data": str, "weights": str},
}
RESIZE = {"smaller": "mean over areas", "larger": "bilinear", "beyond_the_edge": "repeat the edge"}
_MEASURED: dict[str, type] = {"split": str, "n": int, "selection_split": bool, "figures": dict}


# A face at rest that looks ahead: medians of YuNet's points on 1,390 FER2013 training pictures, as shares of
# the picture's side, made symmetrical. Right and left eye, tip of the nose, right and left mouth corner.
AT_REST = ((0.321, 0.395), (0.679, 0.395), (0.5, 0.593), (0.348, 0.742), (0.652, 0.742))


@dataclass(frozen=True)
class CropRule:
    """Where a face lies in the pictures that a model was trained on, so that it is cut out alike again.

    Attributes:
        name: Of the data set whose pictures were measured.
        points: Right eye, left eye, tip of the nose, right and left corner of the mouth (the person's own
            right, so at the left of the picture), each ``(x, y)`` as shares of the side, from the top left.
            Empty: go by the box, whatever the detector finds.
        upright: Turn the face until it is upright, where a detector gives its points: onto ``points``, or
            where there are none by the angle alone that lays it on `AT_REST`.
        box_scale: By the box: side of the square over the longer side of the detector's box.
        box_shift: By the box: how far the square's centre lies below the box's, as a share of that side.
        resize: How pixels become fewer, how more, and what lies beyond the picture's edge.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    upright: bool
    box_scale: float
    box_shift: float
    resize: dict[str, str] = field(default_factory=lambda: dict(RESIZE))


@dataclass(frozen=True)
class Card:
    """What `card.json` of a bundle says.

    Attributes:
        name: Of the model, letters, digits and ``._-``.
        version: Counted from 1 within a name by a registry (`fer.bundle.registry`); 0 in none.
        labels: Emotions in the order of the probabilities.
        image_size: Side of the square pictures that go in, in pixels.
        crop: How the face is cut out before.
        temperature: That the logits are divided by; it is part of the graph already.
        abstain_below: Call an answer uncertain when its highest probability is lower; None: never measured,
            or (of a calibrated model) no confidence was enough.
        attention: Whether the second output is a map of the attention over the picture, ``(N, S, S)`` in 0 to
            1, S the `image_size`.
        precision: ``fp32``, ``fp16`` or ``int8``.
        model: ``file``, ``sha256``, ``bytes``, ``parameters``, ``architecture`` of `model.onnx`.
        metrics: By split: published name, n, whether the split selected the model, figures with intervals,
            and ``confusion``, K rows of K counts (a row a true emotion), which older cards lack.
        training: Command, experiment, seed, epochs, commit, manifest of the data; of a mean of several models
            those of the first, with the others in ``members``.
        export: Versions, parity with torch, calibration, quantisation: what was measured, and when.
        licence: Of the ``weights`` and of the ``data``.
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


def model_name(card: Card) -> str:
    """Return the name of a model with its version, as a registry counts it, e.g. ``fast:3``."""
    return f"{card.name}:{card.version}" if card.version else card.name


def to_json(card: Card) -> str:
    """Return the text of `card.json`."""
    content = asdict(card) | {"labels": to_dict(card.labels)}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def read_card(path: Path) -> Card:
    """Read a `card.json`.

    Raises:
        FerError: It is missing, no JSON, of a newer schema, or lacks a field; the message names it.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FerError(f"{path}: there is no card of a model that can be read ({error.strerror}).") from error
    except ValueError as error:
        raise FerError(
            f"{path}: expected the card of a model, but it is cut off or damaged: {error}."
        ) from error
    try:
        _check(content)
        crop = content["crop"]
        crop = CropRule(**crop | {"points": tuple((float(x), float(y)) for x, y in crop["points"])})
        _check_crop(crop)
        labels = from_dict(content["labels"])
        _check_figures(content["metrics"])
        if not isinstance(content["export"].get("quantisation"), dict | None):
            raise FerError("export.quantisation: expected a table or null. Export the model again.")
        members = content["training"].get("members", [])
        if not (isinstance(members, list) and all(isinstance(one, dict) for one in members)):
            raise FerError("training.members: expected a list of tables. Export the model again.")
        _check_confusion(content["metrics"], len(labels))
        return Card(**content | {"labels": labels, "crop": crop})
    except (ValueError, TypeError, KeyError) as error:
        raise FerError(f"{path}: expected the card of a model, but it does not fit: {error}") from error


def _check(content: Any) -> None:
    """Refuse what is no card, or one that a newer version of this package wrote."""
    if not isinstance(content, dict) or not isinstance(content.get("schema_version"), int):
        raise FerError("it does not say of which schema it is. Export the model again.")
    if content["schema_version"] > SCHEMA_VERSION:
        raise FerError(
            f"expected schema {SCHEMA_VERSION} or older, got {content['schema_version']}. "
            "Install a newer version of this package."
        )
    wrong = [name for name, kind in _KINDS.items() if not isinstance(content.get(name, ...), kind)]
    wrong += [f"{part}.{name}" for part, kinds in _PARTS.items() if part not in wrong
              for name, kind in kinds.items() if not isinstance(content[part].get(name), kind)]  # fmt: skip
    if wrong:
        raise FerError(f"missing or of another kind: {', '.join(wrong)}. Export the model again.")
    if not NAME.fullmatch(content["name"]):  # it becomes a folder of a registry
        raise FerError(f"name {content['name']!r}: expected {NAME_FORM}. Export the model again.")


def _check_crop(crop: CropRule) -> None:
    """Refuse a rule by which no face could be cut out."""
    if len(crop.points) not in (0, 5) or not crop.box_scale > 0:
        raise FerError(
            f"crop: expected five points or none, and a box_scale above 0, got {len(crop.points)} points and "
            f"{crop.box_scale}. Export the model again."
        )


def _check_figures(metrics: dict[str, Any]) -> None:
    """Refuse figures that could not be told: a card may have been edited by hand."""
    for role, part in metrics.items():
        if not isinstance(part, dict):
            raise FerError(f"metrics.{role}: expected figures of a split. Export the model again.")
        wrong = [name for name, kind in _MEASURED.items() if not isinstance(part.get(name), kind)]
        if "figures" not in wrong:
            wrong += [f"figures.{name}" for name, one in part["figures"].items() if not _is_figure(one)]
        if wrong:
            names = ", ".join(f"metrics.{role}.{name}" for name in wrong)
            raise FerError(f"missing or of another kind: {names}. Export the model again.")


def _is_figure(figure: Any) -> bool:
    """Whether this is a number, or none, with both ends of an interval or none."""
    if not isinstance(figure, dict) or "value" not in figure:
        return False
    ends = [figure.get("low"), figure.get("high")]
    known = [value for value in (figure["value"], *ends) if value is not None]
    return ends.count(None) != 1 and all(isinstance(value, int | float) for value in known)


def _check_confusion(metrics: dict[str, Any], num_classes: int) -> None:
    """Refuse a confusion matrix that is not of the card's emotions; a card may have none."""
    for role, part in metrics.items():
        rows = part.get("confusion")
        if rows is not None and not _is_square(rows, num_classes):
            raise FerError(
                f"metrics.{role}.confusion: expected {num_classes} rows of {num_classes} counts of images. "
                "Export the model again."
            )


def _is_square(rows: Any, side: int) -> bool:
    """Whether these are as many rows as columns of counts."""
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        return False
    counts = [count for row in rows for count in row]
    return [len(row) for row in rows] == [side] * side and all(
        isinstance(count, int) and count >= 0 for count in counts
    )
