"""Export one or several trained runs to a bundle: graph, calibration, parity check, quantisation, card."""

from argparse import Namespace
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib import metadata as packages
from pathlib import Path
from typing import Any

from fer.analysis.temperature import Calibration
from fer.bundle.card import SCHEMA_VERSION, Card
from fer.bundle.files import MODEL, Bundle, read_bundle, sha256, staging_folder, write_card
from fer.errors import FerError
from fer.exporting import figures, int8
from fer.exporting.calibration import calibration_entry, choose_threshold, load_or_fit_calibration
from fer.exporting.graph import ExportModel, attention_mask
from fer.exporting.half import convert_to_fp16
from fer.exporting.onnx_file import OPSET, metadata, write_metadata, write_onnx
from fer.exporting.origin import choose_name, crop_rule, licence, training
from fer.exporting.own_data import (
    is_gray,
    open_validation_data,
    parity_faces,
    training_faces,
    validation_faces,
)
from fer.exporting.parity import NUM_IMAGES, check_parity
from fer.exporting.together import Network, check_compatible, combined_model
from fer.models import count_parameters
from fer.places import expand_user
from fer.scoring import EvaluationData, TrainedRun, load_run

_PACKAGES = ("fer-lightning", "torch", "timm", "onnx", "onnxruntime")


@dataclass(frozen=True)
class ExportJob:
    """The inputs of an export.

    Attributes:
        runs: One run, or the members of an ensemble.
        name: Name of the bundle.
        evaluation: The runs' validation data; None if it is not available.
        calibration: The model's calibration; None if there is none.
        crop: Name of the crop rule given by the user; None: that of the data set.
    """

    runs: tuple[TrainedRun, ...]
    name: str
    evaluation: EvaluationData | None
    calibration: Calibration | None
    crop: str | None

    @cached_property
    def model(self) -> Network:
        """Return the network or ensemble in evaluation mode."""
        return combined_model(self.runs)

    @property
    def first(self) -> TrainedRun:
        """Return the first run, for the properties that all runs share."""
        return self.runs[0]

    @property
    def temperature(self) -> float:
        """Return the divisor of the logits; 1 if the model is not calibrated."""
        return self.calibration.temperature if self.calibration else 1.0

    @property
    def side(self) -> int:
        """Return the side of the images in pixels, as stored in the training data set."""
        return int(self.first.checkpoint.manifest["image_shape"][0])

    @property
    def network_side(self) -> int:
        """Return the side in pixels to which training resizes images for the network."""
        return int(self.first.checkpoint.config["model"]["image_size"])

    @property
    def about(self) -> dict[str, str]:
        """Return the metadata of the ONNX file."""
        return metadata(self.name, self.first.checkpoint.labels, SCHEMA_VERSION)


def export(request: Namespace) -> tuple[Bundle, TrainedRun]:
    """Export runs to a bundle.

    Args:
        request: Parsed arguments of fer-export; see `fer.export.parser`.

    Returns:
        The bundle and its (first) run.

    Raises:
        FerError: An input is invalid, or the exported model differs from the trained one. Nothing is then
            written, and a previous bundle stays.
    """
    runs = tuple(load_run(source, request.checkpoint) for source in request.runs)
    check_compatible(runs)
    run = runs[0]
    name = choose_name(runs, request.name)
    default = (run.folder or run.path.parent) / ("bundle" if len(runs) == 1 else f"bundle_{name}")
    target = expand_user(request.output) if request.output else default
    with staging_folder(target) as folder:
        evaluation = open_validation_data(run, request.calibration)
        if request.int8 and evaluation is None:
            raise FerError("--int8: expected the run's data, got none. Give its path with --calibration.")
        job = ExportJob(runs, name, evaluation, load_or_fit_calibration(runs, evaluation), request.crop)
        write_card(folder, _fill(folder / MODEL, job, request))
    return read_bundle(target), run


def _fill(path: Path, job: ExportJob, request: Namespace) -> Card:
    """Write and check the model file, and quantise it on request; return the card."""
    network = ExportModel(job.model, is_gray(job.first), job.temperature, job.side, job.network_side)
    write_onnx(network, path, job.about)
    images, kind = parity_faces(job.first, job.evaluation, job.side, NUM_IMAGES)
    parity = check_parity(path, job.model, images, job.temperature, "fp32", job.network_side)
    parity |= {"pictures": kind}
    precision, quantisation = "fp32", None
    if request.int8:
        quantisation = _try_int8(path, job)
        precision = "int8" if quantisation["kept"] else "fp32"
    if request.fp16:
        convert_to_fp16(path, path)
        write_metadata(path, job.about)
        parity = check_parity(path, job.model, images, job.temperature, "fp16", job.network_side)
        parity |= {"pictures": kind}
        precision = "fp16"
    return _card(path, job, precision, {"parity": parity, "quantisation": quantisation})


def _try_int8(path: Path, job: ExportJob) -> dict[str, Any]:
    """Replace the fp32 model by an int8 model if that is better; return the benchmark's report."""
    assert job.evaluation is not None
    faces = training_faces(job.evaluation, int8.NUM_CALIBRATION)
    int8_path = path.with_suffix(".int8")
    int8.quantise(path, int8_path, faces)
    write_metadata(int8_path, job.about)
    result = int8.evaluate_int8(path, int8_path, *validation_faces(job.evaluation))
    int8_path.replace(path) if result.kept else int8_path.unlink()
    return result.report | {"calibration_images": len(faces)}


def _card(path: Path, job: ExportJob, precision: str, measured: dict[str, Any]) -> Card:
    threshold = job.calibration and choose_threshold(job.calibration)
    return Card(
        name=job.name,
        version=0,
        labels=job.first.checkpoint.labels,
        image_size=job.side,
        crop=crop_rule(job.runs, job.crop),
        temperature=job.temperature,
        abstain_below=threshold.confidence if threshold else None,
        attention=attention_mask(job.model) is not None,
        precision=precision,
        model=_describe_model(path, job),
        metrics=_metrics(path, job, precision),
        training=training(job.runs),
        export=_describe_export(job) | measured,
        licence=licence(job.runs),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _describe_model(path: Path, job: ExportJob) -> dict[str, Any]:
    return {
        "file": MODEL,
        "sha256": sha256(path),
        "bytes": path.stat().st_size,
        "parameters": count_parameters(job.model),
        "architecture": " + ".join(run.checkpoint.config["model"]["name"] for run in job.runs),
    }


def _describe_export(job: ExportJob) -> dict[str, Any]:
    versions = {name: _version(name) for name in _PACKAGES}
    return {"versions": versions, "opset": OPSET, "calibration": calibration_entry(job.calibration)}


def _version(name: str) -> str | None:
    try:
        return packages.version(name)
    except packages.PackageNotFoundError:
        return None


def _metrics(path: Path, job: ExportJob, precision: str) -> dict[str, Any]:
    """Return the metrics of the exported file if the validation data is available, else those of the run."""
    recorded = figures.recorded_metrics(job.first) if len(job.runs) == 1 else {}
    if precision != "fp32":
        recorded = {role: entry | {"of": "the model in fp32"} for role, entry in recorded.items()}
    if job.evaluation is None:
        return recorded
    faces, target = validation_faces(job.evaluation)
    measured = figures.measure_metrics(
        job.evaluation, job.first.checkpoint.labels, target, int8.predict_probabilities(path, faces)
    )
    return recorded | {"val": measured | {"copies_in_training": figures.copies_in_training(job.runs)}}
