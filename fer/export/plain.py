"""Export a model for pipelines of other people: one file in ONNX, torch or OpenVINO, and how to call it.

Other than a bundle it may take floating-point images, return logits, and have a fixed batch size.
"""

import importlib
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor, nn

from fer.bundle.files import staging_folder
from fer.bundle.runtime import FACES, PROBABILITIES, open_session
from fer.core.errors import FerError, did_you_mean
from fer.core.paths import expand_user
from fer.core.plugins import import_plugins
from fer.evaluation.crop import crop_rule
from fer.evaluation.runs import RunSource, as_list, load_run
from fer.evaluation.score import softmax
from fer.export.export import ExportJob, check_calibrated, check_options, load_or_fit_calibration
from fer.export.graph import ExportModel, check_compatible, write_graph
from fer.export.model_card import choose_name
from fer.export.parity import BATCH_SIZES, NUM_IMAGES, check_outputs, to_rgb, torch_probabilities
from fer.export.sample_images import is_gray, open_validation_data, parity_faces

FORMATS, INPUTS, OUTPUTS = ("onnx", "torch", "openvino"), ("uint8", "float"), (PROBABILITIES, "logits")
SUFFIXES = {"onnx": ".onnx", "torch": ".pt2", "openvino": ".xml"}
SPEC = "model.yaml"
IMAGES = "images"
# With an example of one image, torch would treat the batch size as constant.
_EXAMPLE_BATCH = 2
# Everything that an export may have written, so that a later one may replace it.
_FILES = {f"model{suffix}" for suffix in (*SUFFIXES.values(), ".bin")} | {SPEC}
_Run = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class PlainFormat:
    """What is written.

    Attributes:
        format: One of `FORMATS`.
        input: ``uint8``: RGB faces ``(N, S, S, 3)``, as a bundle takes them. ``float``: images ``(N, C, S,
            S)`` in [0, 1], with the channels of the training images.
        output: ``probabilities``, or ``logits``, whose softmax these probabilities are.
        batch: Fixed batch size; None: any.
        opset: Opset of the ONNX file; None: the lowest possible.
    """

    format: str = "onnx"
    input: str = "uint8"
    output: str = PROBABILITIES
    batch: int | None = None
    opset: int | None = None

    def check(self) -> None:
        """Check the choices.

        Raises:
            FerError: One is unknown, two do not go together, or a library is missing.
        """
        for name, options in (("format", FORMATS), ("input", INPUTS), ("output", OUTPUTS)):
            if (value := getattr(self, name)) not in options:
                hint = did_you_mean(str(value), options)
                raise FerError(f"--{name}: expected one of {', '.join(options)}, got {value!r}.{hint}")
        if self.batch is not None and self.batch < 1:
            raise FerError(f"--batch: expected a number of 1 or more, got {self.batch}. Correct it.")
        if self.format == "torch" and self.opset is not None:
            raise FerError("--opset: expected --format onnx or openvino, got torch. Omit --opset.")
        if self.format == "openvino" and importlib.util.find_spec("openvino") is None:
            raise FerError(
                "--format openvino: expected OpenVINO to be installed, but it is not. Install it: pip "
                "install 'fer-lightning[openvino]'."
            )


class PlainModel(nn.Module):
    """A trained classifier with the input and output of a `PlainFormat`.

    Args:
        network: The classifier with its preprocessing and temperature.
        choice: What it takes and returns.

    Shape: as `PlainFormat` says; logits or probabilities ``(N, K)`` out.
    """

    def __init__(self, network: ExportModel, choice: PlainFormat) -> None:
        super().__init__()
        self.network = network
        self.takes_float, self.returns_logits = choice.input == "float", choice.output == "logits"

    def forward(self, images: Tensor) -> Tensor:
        """Return logits or probabilities."""
        network = self.network
        pixels = images if self.takes_float else network.to_images(images)
        logits = network.model(network.resize(pixels)) / network.temperature
        return logits if self.returns_logits else logits.softmax(1)


def export_plain(
    runs: RunSource | Sequence[RunSource],
    choice: PlainFormat,
    *,
    checkpoint: str | None = None,
    output: str | Path | None = None,
    name: str | None = None,
    calibration: str | None = None,
    uncalibrated: bool = False,
    crop: str | None = None,
    plugins: Sequence[str] = (),
    tta: str | None = None,
) -> tuple[Path, dict[str, Any]]:
    """Export runs as one file in another format than a bundle. Further arguments as for `fer.export`.

    Args:
        runs: One or several runs.
        choice: What is written.
        output: Folder; None: ``export`` in the folder of the (first) run.

    Returns:
        The model file, and the report of the parity check: ``images``, ``pictures``, ``tolerance`` and
        ``max_difference``. Beside the file, ``model.yaml`` says how to call it; with ONNX it is the spec with
        which fer-evaluate and fer-benchmark run the file.

    Raises:
        FerError: An input is invalid, or the exported model differs from the trained one. Nothing is then
            written.
    """
    choice.check()
    check_options(tta, choice.opset)
    import_plugins(plugins, "--plugins")
    trained = tuple(load_run(source, checkpoint) for source in as_list(runs))
    check_compatible(trained)
    first, name = trained[0], choose_name(trained, name)
    target = expand_user(output) if output else (first.folder or first.path.parent) / "export"
    with staging_folder(target, _FILES) as folder:
        evaluation = open_validation_data(first, calibration)
        fitted = load_or_fit_calibration(trained, evaluation, tta)
        if not uncalibrated:
            check_calibrated(first, fitted)
        job = ExportJob(trained, name, evaluation, fitted, crop, tta, choice.opset)
        path = folder / f"model{SUFFIXES[choice.format]}"
        _write(path, job, choice)
        report = _check_parity(path, job, choice)
        (folder / SPEC).write_text(spec_text(job, choice), encoding="utf-8")
    return target / path.name, report


def _write(path: Path, job: ExportJob, choice: PlainFormat) -> None:
    network = ExportModel(job.model, is_gray(job.first), job.temperature, job.side, job.network_side)
    model, example = PlainModel(network, choice).eval(), _example(job, choice)
    names = (FACES if choice.input == "uint8" else IMAGES, choice.output)
    if choice.format == "onnx":
        write_graph(model, example, path, job.about, names, choice.opset, choice.batch)
    elif choice.format == "torch":
        _write_torch(model, example, path, choice.batch)
    else:
        openvino: Any = importlib.import_module("openvino")
        with tempfile.TemporaryDirectory() as folder:
            onnx_file = Path(folder) / "model.onnx"
            write_graph(model, example, onnx_file, job.about, names, choice.opset, choice.batch)
            openvino.save_model(openvino.convert_model(onnx_file), path, compress_to_fp16=False)


def _write_torch(model: nn.Module, example: Tensor, path: Path, batch: int | None) -> None:
    """Write a ``torch.export`` program: operators of torch alone, no code of this package."""
    shapes = None if batch else ({0: torch.export.Dim("N")},)
    with warnings.catch_warnings(), torch.no_grad():
        # torch warns about its internals.
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(model, (example,), dynamic_shapes=shapes), path)


def _example(job: ExportJob, choice: PlainFormat) -> Tensor:
    batch, side = choice.batch or _EXAMPLE_BATCH, job.side
    if choice.input == "uint8":
        return torch.zeros(batch, side, side, 3, dtype=torch.uint8)
    return torch.zeros(batch, 1 if is_gray(job.first) else 3, side, side)


def _check_parity(path: Path, job: ExportJob, choice: PlainFormat) -> dict[str, Any]:
    """Compare the file, in its own runtime, with the trained model in torch.

    Raises:
        FerError: It differs.
    """
    faces, kind = parity_faces(job.first, job.evaluation, job.side, NUM_IMAGES)
    sizes = (choice.batch,) if choice.batch else BATCH_SIZES
    faces = np.array(faces[: len(faces) - len(faces) % (choice.batch or 1)])
    if not len(faces):
        raise FerError(
            f"--batch: expected at most {NUM_IMAGES}, with which the export is checked, got {choice.batch}."
        )
    images = (
        to_rgb(faces) if choice.input == "uint8" else faces.transpose(0, 3, 1, 2).astype(np.float32) / 255
    )
    expected = torch_probabilities(job.model, faces, job.temperature, job.network_side)
    run = _runner(path, choice)
    outputs = []
    for size in sizes:
        parts = [run(np.ascontiguousarray(images[at : at + size])) for at in range(0, len(images), size)]
        values = np.concatenate(parts)
        outputs.append(softmax(values) if choice.output == "logits" else values)
    return check_outputs(path, expected, outputs) | {"pictures": kind, "batch_sizes": list(sizes)}


def _runner(path: Path, choice: PlainFormat) -> _Run:
    """Return a function that runs a file: the input as an array, the output as an array."""
    if choice.format == "onnx":
        session = open_session(path)
        source = session.get_inputs()[0].name
        return lambda images: session.run([choice.output], {source: images})[0]
    if choice.format == "torch":
        program = torch.export.load(path).module()
        return lambda images: program(torch.from_numpy(images)).detach().numpy()
    openvino: Any = importlib.import_module("openvino")
    compiled = openvino.compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda images: compiled(images)[0]


def spec_text(job: ExportJob, choice: PlainFormat) -> str:
    """Return the text of ``model.yaml``: input, output, labels and crop rule."""
    names, gray = job.first.checkpoint.labels.names, is_gray(job.first)
    is_float = choice.input == "float"
    image: dict[str, Any] = {
        "size": job.side,
        "color": "gray" if is_float and gray else "rgb",
        "layout": "nchw" if is_float else "nhwc",
    }
    content = {
        "name": job.name,
        "labels": list(names),
        # They stay as they are, also those that this package does not know.
        "mapping": {name: name for name in names},
        "input": image | ({"scale": "1/255"} if is_float else {"scale": 1}),
        "output": choice.output,
        "crop": crop_rule(job.runs, job.crop).name,
    }
    about = (
        f"# How to call model{SUFFIXES[choice.format]}. Its input is {_input_text(job, choice)}.\n"
        f"# Its output is float32 (N, {len(names)}): {_output_text(job, choice)}.\n"
    )
    return about + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _input_text(job: ExportJob, choice: PlainFormat) -> str:
    batch, side = choice.batch or "N", job.side
    if choice.input == "uint8":
        return f"uint8 ({batch}, {side}, {side}, 3), RGB"
    channels, color = (1, "gray") if is_gray(job.first) else (3, "RGB")
    return f"float32 ({batch}, {channels}, {side}, {side}), {color}, from 0 to 1"


def _output_text(job: ExportJob, choice: PlainFormat) -> str:
    state = "calibrated" if job.calibration else "uncalibrated"
    views = " of a face and its mirror image" if job.tta else ""
    if choice.output == "logits":
        return f"logits, divided by the temperature {job.temperature:.3f}; their softmax is {state}{views}"
    return f"{state} probabilities{views}"
