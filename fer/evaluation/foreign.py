"""Foreign ONNX files in an evaluation: their identity, size, and how they are run."""

import hashlib
import json
import math
from dataclasses import asdict
from pathlib import Path

import onnx
from onnx.external_data_helper import ExternalDataInfo, uses_external_data

from fer.bundle.card import CROP_RULES, CropRule
from fer.bundle.files import sha256
from fer.bundle.foreign import ForeignClassifier

# Parts of a spec that do not change what the file answers.
_NAMES = ("path", "name")


def identify(classifier: ForeignClassifier) -> str:
    """Return the SHA-256 over the file, its external data, and the parts of the spec that matter."""
    facts = {key: value for key, value in asdict(classifier.spec).items() if key not in _NAMES}
    checksum = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for file in (classifier.path, *external_files(classifier.path)):
        checksum.update(sha256(file).encode())
    return checksum.hexdigest()


def external_files(path: Path) -> list[Path]:
    """Return the files beside an ONNX file that hold its external data."""
    tensors = onnx.load(path, load_external_data=False).graph.initializer
    names = {ExternalDataInfo(tensor).location for tensor in tensors if uses_external_data(tensor)}
    return [path.parent / name for name in sorted(names)]


def count_parameters(path: Path) -> int:
    """Return the number of values in the tensors that the file stores, without single numbers."""
    graph = onnx.load(path, load_external_data=False).graph
    stored = [tensor.dims for tensor in graph.initializer]
    stored += [
        attribute.t.dims for node in graph.node if node.op_type == "Constant" for attribute in node.attribute
        if attribute.name == "value"
    ]  # fmt: skip
    return sum(math.prod(dims) for dims in stored if dims)


def describe(classifier: ForeignClassifier) -> dict[str, str]:
    """Return how the file is run, as rows of a table."""
    spec = classifier.spec
    mean, std = (", ".join(f"{one:g}" for one in dict.fromkeys(values)) for values in (spec.mean, spec.std))
    names = [
        label if number >= 0 and label.lower() == spec.labels.names[number]
        else f"{label} ({spec.labels.names[number] if number >= 0 else 'left out'})"
        for label, number in zip(spec.outputs, spec.classes, strict=True)
    ]  # fmt: skip
    return {
        "file": classifier.path.name,
        "spec": spec.path.name,
        "outputs": ", ".join(names),
        "answers": spec.output,
        "input": f"{spec.size} x {spec.size} pixels, {spec.color}, {spec.layout.upper()}",
        "pixels": f"(pixel * {spec.scale:.6g} - {mean}) / {std}, pixel 0 to 255",
        "crop of faces": _describe_crop(spec.crop),
        "images per call": str(classifier.batch_size),
    }


def _describe_crop(crop: CropRule) -> str:
    """Return the name of a crop rule, or the numbers of one that the spec has."""
    if crop.name in CROP_RULES:
        return crop.name
    parts = ["five landmarks"] if crop.points else []
    parts += [f"box_scale {crop.box_scale:g}", f"box_shift {crop.box_shift:g}"]
    return ", ".join([*parts, *(["upright"] if crop.upright else [])])
