"""Run a foreign ONNX file as its spec says: face crops in, probabilities of our emotions out. No torch."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort

from fer.bundle.card import NAME_PATTERN, Card
from fer.bundle.files import sha256
from fer.bundle.foreign_spec import ForeignSpec, read_spec
from fer.bundle.providers import choose_device
from fer.bundle.runtime import BATCH_SIZE, Session, open_session
from fer.core.errors import FerError

# Types of ONNX Runtime -> NumPy
INPUT_TYPES = {
    "tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}  # fmt: skip
_OUTPUT_TYPES = ("tensor(float)", "tensor(float16)", "tensor(double)")
# Probabilities of an int8 file sum to 1 only up to a few steps of it.
_SUM_TOLERANCE = 0.05
# Logits that are probabilities sum to 1 up to this.
_EXACT_SUM = 1e-3
UNKNOWN_TRAINING = "unknown: a foreign file does not say what it was trained on"
# Words in ONNX Runtime's messages -> why the file cannot be run. The first that occurs is used.
_REASONS = {
    r'External data path does not exist: "?([^"\n]+)': "expected its external data {0}, got no such file. "
    "Put it beside the model",
    r"Opset (\d+) is under development": "expected an opset that ONNX Runtime {version} knows, got {0}. "
    "Convert the model to an older opset, or update ONNX Runtime",
    r"Unsupported model IR version: (\d+), max supported IR version: (\d+)": "expected IR version {1} or "
    "older, got {0}. Update ONNX Runtime",
    r"NO_SUCHFILE|doesn't exist": "expected an ONNX file, but the path does not exist",
    r"No graph was found in the protobuf": "expected an ONNX file, got one without a model",
    r"INVALID_PROTOBUF|Protobuf parsing failed": "expected an ONNX file, got another format or a truncated "
    "file",
}


class ForeignClassifier:
    """A foreign ONNX file, ready to run: called like `fer.bundle.runtime.OnnxClassifier`. Thread-safe.

    Args:
        path: The ONNX file.
        spec: How to run it: from `read_spec`, or the path of the YAML file.
        threads: CPU threads per call; None: all cores.
        device: One of `fer.core.device.DEVICES`.

    Attributes:
        path: The ONNX file.
        spec: How it is run.
        device: The device that is used.
        card: Its labels, input size and crop rule as a card, which says that the training is unknown.
        batch_size: Images in one call of ONNX Runtime; 1 if the file takes no more.

    Raises:
        FerError: ONNX Runtime cannot run the file, or the spec does not fit it.
    """

    def __init__(
        self,
        path: str | Path,
        spec: ForeignSpec | str | Path,
        threads: int | None = None,
        device: str | None = None,
    ) -> None:
        self.path, self.device = Path(path), choose_device(device)
        self.spec = spec if isinstance(spec, ForeignSpec) else read_spec(spec)
        self._threads = threads
        self._session = _open(self.path, threads, self.device)
        self._input, self._output = _check(self._session, self.path, self.spec)
        self._dtype = INPUT_TYPES[self._input.type]
        self.batch_size = self._find_batch_size()
        self._check_answers()
        self.card = _card(self.path, self.spec)

    def __call__(self, faces: np.ndarray) -> np.ndarray:
        """Return the probability of each emotion of the spec.

        Outputs that the spec leaves out are dropped, and the others rescaled; those of one emotion are added.

        Args:
            faces: uint8 ``(N, S, S, 3)``, RGB, S the size of the spec.

        Returns:
            float32 ``(N, K)``, in the order of the spec's emotions; rows sum to 1.

        Raises:
            FerError: The faces have the wrong shape or dtype, or the file answers something else.
        """
        size = self.spec.size
        if faces.dtype != np.uint8 or faces.ndim != 4 or faces.shape[1:] != (size, size, 3):
            raise FerError(
                f"{self.path}: expected faces as uint8 (N, {size}, {size}, 3) in RGB, got {faces.dtype} "
                f"{faces.shape}. fer.faces.crop.crop_faces makes them from an image."
            )
        return _to_emotions(self.answers(faces), self.spec)

    def answers(self, faces: np.ndarray) -> np.ndarray:
        """Return what the file answers, float64 ``(N, outputs)``: logits or probabilities, all outputs."""
        starts = range(0, len(faces), self.batch_size)
        parts = [self._run(faces[start : start + self.batch_size]) for start in starts]
        return np.concatenate(parts) if parts else np.empty((0, len(self.spec.outputs)))

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how to load the same model in another process."""
        return ForeignClassifier, (self.path.absolute(), self.spec, self._threads, self.device)

    def _run(self, faces: np.ndarray) -> np.ndarray:
        """Return the answers for at most ``batch_size`` faces; a file with a fixed batch gets that many."""
        batch = prepare(faces, self.spec, self._dtype)
        missing = self.batch_size - len(batch) if isinstance(self._input.shape[0], int) else 0
        if missing > 0:
            batch = np.concatenate([batch, np.repeat(batch[:1], missing, 0)])
        values = np.asarray(self._session.run([self._output.name], {self._input.name: batch})[0])
        number = len(self.spec.outputs)
        if values.size != len(batch) * number or len(values) != len(batch):
            raise FerError(
                f"{self.path}: expected {number} outputs for each of {len(batch)} images, one for each label "
                f"of {self.spec.path}, got shape {values.shape}. Correct labels, or name another output."
            )
        return values.reshape(len(batch), number)[: len(faces)].astype(np.float64)

    def _find_batch_size(self) -> int:
        """Return how many images the file takes: some call their batch variable, and take a single image."""
        fixed = self._input.shape[0]
        if isinstance(fixed, int):
            return fixed
        for self.batch_size in (BATCH_SIZE, 1):
            try:
                self._run(np.zeros((min(2, self.batch_size), self.spec.size, self.spec.size, 3), np.uint8))
            # ONNX Runtime's exceptions have no common base class.
            except Exception as error:
                if self.batch_size > 1:
                    continue
                if isinstance(error, FerError):
                    raise
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                raise FerError(
                    f"{self.path}: ONNX Runtime cannot run it with the input of {self.spec.path} ({reason}). "
                    "Correct input."
                ) from error
            break
        return self.batch_size

    def _check_answers(self) -> None:
        """Check on random images that the answers are what the spec says, logits or probabilities.

        Raises:
            FerError: They are not.
        """
        shape = (8, self.spec.size, self.spec.size, 3)
        values = self.answers(np.random.default_rng(0).integers(0, 256, shape, np.uint8))
        if not np.isfinite(values).all():
            raise FerError(
                f"{self.path}: expected finite numbers, got NaN or infinity for random images. Correct "
                f"scale, mean and std in {self.spec.path}."
            )
        error = np.abs(values.sum(1) - 1).max()
        in_range = values.min() >= -_EXACT_SUM and values.max() <= 1 + _EXACT_SUM
        if self.spec.output == "probabilities" and not (in_range and error <= _SUM_TOLERANCE):
            raise FerError(
                f"{self.spec.path}: output: expected probabilities, which sum to 1, got numbers from "
                f"{values.min():.3g} to {values.max():.3g} from {self.path}. Write output: logits."
            )
        if self.spec.output == "logits" and in_range and error <= _EXACT_SUM:
            raise FerError(
                f"{self.spec.path}: output: expected logits, got numbers that sum to 1 from {self.path}. "
                "Write output: probabilities."
            )


def prepare(faces: np.ndarray, spec: ForeignSpec, dtype: Any = np.float32) -> np.ndarray:
    """Return the input of the file.

    Args:
        faces: uint8 ``(N, S, S, 3)``, RGB.
        spec: Its color, layout, scale, mean and std.
        dtype: Type of the input.

    Returns:
        ``(N, C, S, S)`` or ``(N, S, S, C)``.
    """
    pixels = faces
    if spec.color == "gray":
        pixels = np.stack([cv2.cvtColor(face, cv2.COLOR_RGB2GRAY) for face in faces])[..., None]
    elif spec.color == "bgr":
        pixels = faces[..., ::-1]
    if dtype != np.uint8:
        scale = np.asarray(spec.scale, np.float32)
        pixels = (pixels * scale - np.asarray(spec.mean, np.float32)) / np.asarray(spec.std, np.float32)
    pixels = pixels.transpose(0, 3, 1, 2) if spec.layout == "nchw" else pixels
    return np.ascontiguousarray(pixels, dtype)


def _to_emotions(answers: np.ndarray, spec: ForeignSpec) -> np.ndarray:
    """Return the probabilities of the emotions, float32 ``(N, K)``, from the outputs ``(N, outputs)``."""
    classes = np.array(spec.classes)
    values = answers[:, classes >= 0]
    if spec.output == "logits":
        powers = np.exp(values - values.max(1, keepdims=True))
    else:
        powers = np.clip(values, 0, None)
    columns = np.eye(len(spec.labels))[classes[classes >= 0]]
    probs = powers @ columns
    total = probs.sum(1, keepdims=True)
    # An image whose probability is all in outputs that are left out says nothing about the others.
    probs = np.where(total > 0, probs / np.where(total > 0, total, 1), 1 / len(spec.labels))
    return probs.astype(np.float32)


def _open(path: Path, threads: int | None, device: str) -> Session:
    if not path.is_file():
        raise FerError(f"{path}: expected an ONNX file, but there is none. Correct the path.")
    try:
        return open_session(path, threads, device)
    except FerError as error:
        if error.__cause__ is None:
            raise
        text = str(error.__cause__)
        for words, reason in _REASONS.items():
            if match := re.search(words, text):
                parts = [Path(part).name for part in match.groups()]
                message = reason.format(*parts, version=ort.__version__)
                raise FerError(f"{path}: {message}.") from error
        raise FerError(
            f"{path}: ONNX Runtime {ort.__version__} cannot run it ({text.splitlines()[0][:200]})."
        ) from error


def _check(session: Session, path: Path, spec: ForeignSpec) -> tuple[Any, Any]:
    """Return the input and the output of a file.

    Raises:
        FerError: The spec does not fit the file; the message names all that differs.
    """
    problems: list[str] = []
    image = _find(session.get_inputs(), spec.input_name, "input", problems)
    output = _find(session.get_outputs(), spec.output_name, "output", problems)
    if image is not None:
        problems += _input_problems(image, spec)
    if output is not None:
        problems += _output_problems(output, spec)
    if problems:
        raise FerError(f"{spec.path} does not fit {path}: {'; '.join(problems)}. Correct the spec.")
    return image, output


def _find(nodes: list[Any], name: str | None, key: str, problems: list[str]) -> Any:
    found = [node for node in nodes if name is None or node.name == name]
    if len(found) == 1:
        return found[0]
    names = ", ".join(node.name for node in nodes)
    problems.append(f"{key}.name: the file has {names}, the spec says {name or 'none of them'}")
    return None


def _input_problems(image: Any, spec: ForeignSpec) -> list[str]:
    if image.type not in INPUT_TYPES:
        return [f"input: the file takes {image.type}, which is not an image"]
    shape = list(image.shape)
    if len(shape) != 4:
        return [f"input: the file takes {_shown(shape)}, not batches of images"]
    layout, problems = spec.layout, []
    if _is_other_layout(shape, layout):
        layout = "nhwc" if layout == "nchw" else "nchw"
        problems.append(
            f"input.layout: the file takes {_shown(shape)}, which is {layout}, the spec says {spec.layout}"
        )
    channels, height, width = shape[1:] if layout == "nchw" else (shape[3], *shape[1:3])
    if isinstance(channels, int) and channels != spec.channels:
        taken = f"{channels} channel{'s' * (channels != 1)}"
        problems.append(f"input.color: the file takes {taken}, the spec says {spec.color}")
    if any(isinstance(side, int) and side != spec.size for side in (height, width)):
        problems.append(f"input.size: the file takes {_shown([height, width])}, the spec says {spec.size}")
    is_changed = spec.scale != 1 or any(spec.mean) or any(one != 1 for one in spec.std)
    if image.type == "tensor(uint8)" and is_changed:
        problems.append("input.scale: the file takes uint8, so scale: 1 without mean and std is expected")
    return problems


def _is_other_layout(shape: list[Any], layout: str) -> bool:
    """Return whether the channels are where the other layout has them."""
    own, other = (1, 3) if layout == "nchw" else (3, 1)
    return shape[other] in (1, 3) and shape[own] not in (1, 3) and isinstance(shape[own], int)


def _output_problems(output: Any, spec: ForeignSpec) -> list[str]:
    if output.type not in _OUTPUT_TYPES:
        return [f"output: the file answers {output.type}, expected floating-point numbers"]
    sizes = [size for size in output.shape[1:] if size != 1]
    number = len(spec.outputs)
    if all(isinstance(size, int) for size in sizes) and output.shape and (sizes or [1]) != [number]:
        return [f"labels: the file has {_shown(sizes or [1])} outputs, the spec has {number} labels"]
    return []


def _shown(shape: list[Any]) -> str:
    return " x ".join("N" if size is None else str(size) for size in shape)


def _card(path: Path, spec: ForeignSpec) -> Card:
    """Return what is known of the file as a card; what is not known says so."""
    name = spec.name or re.sub(r"[^A-Za-z0-9._-]", "-", path.stem)
    return Card(
        name=name if NAME_PATTERN.fullmatch(name) else "foreign",
        version=0,
        labels=spec.labels,
        image_size=spec.size,
        crop=spec.crop,
        temperature=1.0,
        abstain_below=None,
        attention=False,
        precision="unknown",
        model={
            "file": path.name,
            "sha256": sha256(path),
            "bytes": path.stat().st_size,
            "parameters": 0,
            "architecture": "foreign ONNX file",
        },
        metrics={},
        training={"data": UNKNOWN_TRAINING},
        export={},
        licence={"data": "unknown", "weights": "unknown"},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
