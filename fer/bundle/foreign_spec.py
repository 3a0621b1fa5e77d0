"""The spec of a foreign ONNX file: a small YAML file with its labels, input, output and crop rule. No torch.

    labels: [Anger, Contempt, Disgust, Fear, Happiness, Neutral, Sadness, Surprise]
    input: {size: 224, color: rgb, layout: nchw, scale: 1/255, mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25]}
    output: logits
    crop: whole

docs/evaluation.md describes each key.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path
from types import ModuleType
from typing import Any

from fer.bundle.card import CROP_RULES, NAME_PATTERN, NAME_RULE, UNMEASURED, CropRule
from fer.core.errors import FerError, did_you_mean
from fer.core.labels import ALIASES, SPACES, LabelSpace, spelling
from fer.core.paths import expand_user

COLORS, LAYOUTS, OUTPUTS = ("gray", "rgb", "bgr"), ("nchw", "nhwc"), ("logits", "probabilities")
# Largest side of the input, in pixels: more is a typing error.
_MAX_SIZE = 4096
_KEYS = {
    "": ("name", "labels", "mapping", "input", "output", "crop"),
    "input": ("name", "size", "color", "layout", "scale", "mean", "std"),
    "output": ("name", "kind"),
    "crop": tuple(field.name for field in fields(CropRule) if field.name not in ("name", "resize")),
}


@dataclass(frozen=True)
class ForeignSpec:
    """How to run a foreign ONNX file.

    Attributes:
        path: The YAML file.
        name: Name of the model; None: the name of the ONNX file.
        outputs: Labels of the file in the order of its outputs, as spelled in the spec.
        labels: Emotions that it can predict, in the order of their first output.
        classes: For each output its class number in ``labels``; -1 if the output is left out.
        size: Side of the square input, in pixels.
        color: One of `COLORS`.
        layout: One of `LAYOUTS`.
        scale: The input is ``(pixel * scale - mean) / std`` with pixels from 0 to 255.
        mean: One number for each channel.
        std: One number for each channel.
        output: One of `OUTPUTS`.
        crop: How faces are cut out of an image for this model.
        input_name: Name of the input; None: the file has only one.
        output_name: Name of the output; None: the file has only one.
    """

    path: Path
    name: str | None
    outputs: tuple[str, ...]
    labels: LabelSpace
    classes: tuple[int, ...]
    size: int
    color: str
    layout: str
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    output: str
    crop: CropRule
    input_name: str | None = None
    output_name: str | None = None

    @property
    def channels(self) -> int:
        """Number of channels of the input."""
        return 1 if self.color == "gray" else 3

    @property
    def left_out(self) -> tuple[str, ...]:
        """Labels whose outputs are left out."""
        return tuple(label for label, number in zip(self.outputs, self.classes, strict=True) if number < 0)


@dataclass(frozen=True)
class OnnxFile:
    """A foreign ONNX file and its spec.

    Attributes:
        path: The file.
        spec: Its spec; None: the YAML file of the same name beside it.
    """

    path: Path
    spec: Path | None = None

    @property
    def spec_path(self) -> Path:
        """The path of the spec.

        Raises:
            FerError: None was named, and there is none beside the file.
        """
        if self.spec is not None:
            return self.spec
        beside = self.path.with_suffix(".yaml")
        if self.path.is_file() and not beside.is_file():
            raise FerError(
                f"{self.path}: expected a spec with a foreign ONNX file, got none. Name it with --spec, or "
                f"write {beside.name} beside it; docs/evaluation.md has an example."
            )
        return beside


def find_files(files: Sequence[str | Path], specs: Sequence[str | Path]) -> list[OnnxFile]:
    """Return each file with its spec, in their order.

    Raises:
        FerError: There are specs, but not one for each file.
    """
    if len(specs) not in (0, len(files)):
        raise FerError(
            f"--spec: expected one for each --onnx, in the same order, got {len(specs)} for {len(files)}. "
            "Name a spec for each file, or none to use the YAML files beside them."
        )
    pairs = zip_longest(map(expand_user, files), map(expand_user, specs))
    return [OnnxFile(file, spec) for file, spec in pairs]


def read_spec(path: str | Path) -> ForeignSpec:
    """Read and check a spec.

    Raises:
        FerError: The file cannot be read, is not YAML, or a key is missing, unknown or has an invalid value.
            The message names all of them.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise FerError(f"{path}: expected a spec in YAML, cannot read it ({reason}).") from error
    yaml = _import_yaml(path)
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" in line {where.line + 1}" if where else ""
        raise FerError(f"{path}: expected a spec in YAML, got a syntax error{line}. Correct it.") from error
    return _Reader(path, content).spec()


def _import_yaml(path: Path) -> ModuleType:
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise FerError(f"{path}: reading a spec needs PyYAML. Install it: pip install pyyaml.") from error
    module: ModuleType = yaml
    return module


class _Reader:
    """Reads the values of a spec, and collects what is wrong with them."""

    def __init__(self, path: Path, content: Any) -> None:
        self.path, self.problems = path, list[str]()
        self.content = self._group("", content)

    def spec(self) -> ForeignSpec:
        """Return the spec.

        Raises:
            FerError: Something is wrong.
        """
        top, image, output = self.content, self._group("input", self.content.get("input")), self._output()
        outputs, labels, classes = self._labels()
        color = self._choice("input.color", image.get("color"), COLORS)
        channels = 1 if color == "gray" else 3
        values = {
            "name": self._value("name", top.get("name"), _is_name, NAME_RULE, None),
            "size": self._value("input.size", image.get("size"), _is_size, "a side in pixels, such as 48"),
            "layout": self._choice("input.layout", image.get("layout"), LAYOUTS),
            "scale": self._scale(image.get("scale")),
            "mean": self._channels("input.mean", image.get("mean", 0), channels),
            "std": self._channels("input.std", image.get("std", 1), channels, is_divisor=True),
            "output": self._choice("output", output.get("kind"), OUTPUTS),
            "crop": self._crop(),
            "input_name": self._value("input.name", image.get("name"), _is_text, "a name", None),
            "output_name": self._value("output.name", output.get("name"), _is_text, "a name", None),
        }
        if self.problems:
            problems = "; ".join(self.problems)
            end = "" if problems.endswith("?") else "."
            raise FerError(f"{self.path}: {problems}{end} docs/evaluation.md has an example.")
        return ForeignSpec(
            path=self.path, outputs=outputs, labels=labels, classes=classes, color=color, **values
        )

    def _add(self, key: str, expected: str, got: Any) -> None:
        shown = "nothing" if got is None else repr(got)[:80]
        self.problems.append(f"{key}: expected {expected}, got {shown}")

    def _group(self, key: str, content: Any) -> Mapping[str, Any]:
        """Return a mapping whose keys are known; empty if it is none."""
        if not isinstance(content, Mapping):
            self._add(key or "spec", f"these keys: {', '.join(_KEYS[key])}", content)
            return {}
        for name in content:
            if name not in _KEYS[key]:
                hint = did_you_mean(str(name), _KEYS[key])
                self._add(key or "spec", f"the keys {', '.join(_KEYS[key])}", f"{name}")
                self.problems[-1] += f".{hint}" if hint else ""
        return content

    def _value(
        self, key: str, value: Any, is_valid: Callable[[Any], bool], expected: str, default: Any = ...
    ) -> Any:
        if value is None and default is not ...:
            return default
        if not is_valid(value):
            self._add(key, expected, value)
        return value

    def _choice(self, key: str, value: Any, options: Sequence[str]) -> str:
        name = str(value).lower()
        if name not in options:
            self._add(key, f"one of {', '.join(options)}", value)
        return name

    def _output(self) -> Mapping[str, Any]:
        output = self.content.get("output")
        return self._group("output", output) if isinstance(output, Mapping) else {"kind": output}

    def _labels(self) -> tuple[tuple[str, ...], LabelSpace, tuple[int, ...]]:
        """Return the labels of the file, its emotions, and the class number of each output."""
        given, mapping = self.content.get("labels"), self.content.get("mapping") or {}
        if not (isinstance(given, list) and len(given) > 1 and all(isinstance(one, str) for one in given)):
            self._add("labels", "a list of two labels or more, in the order of the outputs", given)
            given = []
        if repeated := sorted({label for label in given if given.count(label) > 1}):
            self._add("labels", "different labels", ", ".join(repeated))
        if not isinstance(mapping, Mapping):
            self._add("mapping", "label: emotion", mapping)
            mapping = {}
        for label in mapping:
            if given and label not in given:
                self._add("mapping", f"labels of the file ({', '.join(given)})", label)
        emotions = [self._emotion(label, mapping) for label in given]
        names = tuple(dict.fromkeys(name for name in emotions if name is not None))
        if given and len(names) < 2 and not self.problems:
            self._add("labels", "two emotions or more", ", ".join(names))
        published = next((space for space in SPACES.values() if space.names == names), None)
        classes = tuple(-1 if name is None else names.index(name) for name in emotions)
        return tuple(given), published or LabelSpace("foreign", names), classes

    def _emotion(self, label: str, mapping: Mapping[str, Any]) -> str | None:
        """Return the emotion of a label; None if it is left out.

        A label that is mapped to itself stays a label of its own.
        """
        target = mapping.get(label, label)
        if target is None:
            return None
        name = spelling(str(target))
        if name not in ALIASES and not (label in mapping and target == label):
            self._add("labels", f"emotions ({', '.join(ALIASES)})", target)
            hint = did_you_mean(name, ALIASES)
            self.problems[-1] += f".{hint} Map it: mapping: {{{label}: EMOTION}}, or null"
        return name

    def _scale(self, value: Any) -> float:
        """Return a number; ``1/255`` is one, too."""
        try:
            number = float(Fraction(value.replace(" ", ""))) if isinstance(value, str) else value
        except (ValueError, ZeroDivisionError):
            number = value
        if not _is_positive(number):
            self._add("input.scale", "a positive number, such as 1/255 or 1", value)
            return 1.0
        return float(number)

    def _channels(self, key: str, value: Any, channels: int, is_divisor: bool = False) -> tuple[float, ...]:
        """Return one number for each channel."""
        numbers = value if isinstance(value, list) else [value] * channels
        is_valid = len(numbers) == channels and all(map(_is_number, numbers))
        if not is_valid or (is_divisor and not all(number > 0 for number in numbers)):
            kind = "positive number" if is_divisor else "number"
            self._add(key, f"a {kind}, or one for each of {channels} channels", value)
            return (1.0,) * channels
        return tuple(map(float, numbers))

    def _crop(self) -> CropRule:
        """Return the crop rule: one of this package by its name, or one of the spec."""
        crop = self.content.get("crop", UNMEASURED)
        if isinstance(crop, Mapping):
            return self._own_crop(self._group("crop", crop))
        if crop not in CROP_RULES:
            self._add("crop", f"one of {', '.join(CROP_RULES)}, or box_scale and the like", crop)
        return CROP_RULES.get(crop, CROP_RULES[UNMEASURED])

    def _own_crop(self, crop: Mapping[str, Any]) -> CropRule:
        points, upright = crop.get("points") or [], crop.get("upright", bool(crop.get("points")))
        scale, shift = crop.get("box_scale", 1.0), crop.get("box_shift", 0.0)
        if not (isinstance(points, list) and len(points) in (0, 5) and all(map(_is_point, points))):
            self._add("crop.points", "five points [x, y], as fractions of the side", points)
            points = []
        self._value("crop.upright", upright, lambda value: isinstance(value, bool), "true or false")
        self._value(
            "crop.box_scale", scale, lambda value: _is_number(value) and value > 0, "a number above 0"
        )
        self._value("crop.box_shift", shift, _is_number, "a number")
        if self.problems:
            return CROP_RULES[UNMEASURED]
        corners = tuple((float(x), float(y)) for x, y in points)
        return CropRule("spec", corners, upright, float(scale), float(shift))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_positive(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_point(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MAX_SIZE


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(NAME_PATTERN.fullmatch(value))
