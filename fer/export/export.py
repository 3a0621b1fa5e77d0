"""Export one or several trained runs to a bundle: ONNX graph, calibration, parity check, int8, model card."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import onnx

from fer.analysis.metrics.calibration_file import (
    Calibration,
    calibration_entry,
    choose_threshold,
    read_calibration,
)
from fer.bundle.card import SCHEMA_VERSION, Card
from fer.bundle.files import MODEL, Bundle, read_bundle, sha256, staging_folder, write_card
from fer.core.errors import FerError
from fer.core.paths import expand_user
from fer.core.plugins import import_plugins
from fer.evaluation.crop import crop_rule
from fer.evaluation.data import EvaluationData
from fer.evaluation.runs import RunSource, TrainedRun, as_list, load_run
from fer.evaluation.score import ensemble_predictions, find_calibration, score_run
from fer.export.compatibility import MAX_OPSET, MIN_OPSET, standard_opset
from fer.export.graph import (
    ExportModel,
    Network,
    attention_mask,
    check_compatible,
    combined_model,
    finalize,
    metadata,
    write_onnx,
)
from fer.export.model_card import (
    choose_name,
    copies_in_training,
    licence,
    measure_metrics,
    recorded_metrics,
    training_entry,
)
from fer.export.parity import NUM_IMAGES, check_parity
from fer.export.quantize import (
    NUM_CALIBRATION,
    convert_to_fp16,
    evaluate_int8,
    predict_probabilities,
    quantise,
)
from fer.export.sample_images import (
    is_gray,
    open_validation_data,
    parity_faces,
    training_faces,
    validation_faces,
)
from fer.models.factory import count_parameters
from fer.training.run_record import package_version

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
        tta: ``flip``: the graph averages the probabilities of an image and its mirror image; None: it does
            not.
        opset: Opset of the ONNX file; None: the lowest possible.
    """

    runs: tuple[TrainedRun, ...]
    name: str
    evaluation: EvaluationData | None
    calibration: Calibration | None
    crop: str | None
    tta: str | None = None
    opset: int | None = None

    @cached_property
    def model(self) -> Network:
        """Return the network or ensemble in evaluation mode."""
        return combined_model(self.runs, self.tta)

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
        return self.first.config.model.image_size

    @property
    def about(self) -> dict[str, str]:
        """Return the metadata of the ONNX file."""
        return metadata(self.name, self.first.checkpoint.labels, SCHEMA_VERSION)


def export(
    runs: RunSource | Sequence[RunSource],
    *,
    checkpoint: str | None = None,
    output: str | Path | None = None,
    name: str | None = None,
    int8: bool = False,
    fp16: bool = False,
    calibration: str | None = None,
    uncalibrated: bool = False,
    crop: str | None = None,
    plugins: Sequence[str] = (),
    tta: str | None = None,
    opset: int | None = None,
) -> Bundle:
    """Export runs to a bundle. The keywords are the options of fer-export.

    >>> bundle = fer.export("outputs/train/DATE/RUN", int8=True)
    >>> fer.Predictor(bundle)("photo.jpg")

    Args:
        runs: One or several: run folders, ``.ckpt`` files, or results of `fer.train`; several form an
            ensemble.
        checkpoint: ``best`` or ``last``, for run folders; None: best if there is one.
        output: Folder of the bundle; None: ``bundle`` in the folder of the (first) run.
        name: Name of the model; None: the run's name without its seed.
        int8: Quantise to int8, if that is faster and as accurate.
        fp16: Convert the weights to fp16.
        calibration: Path of the run's data, if it has moved.
        uncalibrated: Export without calibration if the data is not available.
        crop: Name of the crop rule of the training images; None: that of the data set.
        plugins: Modules with parts of one's own that the runs use (`fer.register_model`).
        tta: ``flip``: average the probabilities of each face and its mirror image, in the graph, in twice
            the time; None: do not.
        opset: Opset of the ONNX file, `MIN_OPSET` to `MAX_OPSET`; None: the lowest possible.

    Raises:
        FerError: An input is invalid, or the exported model differs from the trained one. Nothing is then
            written, and a previous bundle stays.
    """
    check_options(tta, opset)
    import_plugins(plugins, "--plugins")
    trained = tuple(load_run(source, checkpoint) for source in as_list(runs))
    check_compatible(trained)
    run = trained[0]
    name = choose_name(trained, name)
    default = (run.folder or run.path.parent) / ("bundle" if len(trained) == 1 else f"bundle_{name}")
    target = expand_user(output) if output else default
    with staging_folder(target) as folder:
        evaluation = open_validation_data(run, calibration)
        if int8 and evaluation is None:
            raise FerError("--int8: expected the run's data, got none. Give its path with --calibration.")
        fitted = load_or_fit_calibration(trained, evaluation, tta)
        if not uncalibrated:
            check_calibrated(run, fitted)
        job = ExportJob(trained, name, evaluation, fitted, crop, tta, opset)
        write_card(folder, _write_model(folder / MODEL, job, int8, fp16))
    return read_bundle(target)


def check_options(tta: str | None, opset: int | None) -> None:
    """Check the options of the graph.

    Raises:
        FerError: There is no such augmentation, or torch or ONNX Runtime has no such opset.
    """
    if tta not in (None, "flip"):
        raise FerError(f"--tta: expected flip, got {tta!r}. Correct it, or omit it.")
    if opset is not None and not MIN_OPSET <= opset <= MAX_OPSET:
        raise FerError(
            f"--opset: expected {MIN_OPSET} to {MAX_OPSET}, got {opset}. Correct it, or omit it for the "
            "lowest possible."
        )


def check_calibrated(run: TrainedRun, calibration: Calibration | None) -> None:
    """Check that there is a calibration.

    Raises:
        FerError: There is none.
    """
    if calibration is None:
        raise FerError(
            f"{run.path}: the model cannot be calibrated without the run's data. Give its path with "
            "--calibration, or use --uncalibrated to export probabilities that only rank the emotions."
        )


def _write_model(path: Path, job: ExportJob, int8: bool, fp16: bool) -> Card:
    """Write and check the ONNX file, and quantise it on request; return the card."""
    network = ExportModel(job.model, is_gray(job.first), job.temperature, job.side, job.network_side)
    write_onnx(network, path, job.about, job.opset)
    images, kind = parity_faces(job.first, job.evaluation, job.side, NUM_IMAGES)
    parity = check_parity(path, job.model, images, job.temperature, "fp32", job.network_side)
    parity |= {"pictures": kind}
    precision, quantisation = "fp32", None
    if int8:
        quantisation = _try_int8(path, job)
        precision = "int8" if quantisation["kept"] else "fp32"
    if fp16:
        convert_to_fp16(path)
        finalize(path, job.about, job.opset)
        parity = check_parity(path, job.model, images, job.temperature, "fp16", job.network_side)
        parity |= {"pictures": kind}
        precision = "fp16"
    return _card(path, job, precision, {"parity": parity, "quantisation": quantisation})


def _try_int8(path: Path, job: ExportJob) -> dict[str, Any]:
    """Replace the fp32 model by an int8 model if that is better; return the benchmark's report."""
    assert job.evaluation is not None
    faces = training_faces(job.evaluation, NUM_CALIBRATION)
    int8_path = path.with_suffix(".int8")
    quantise(path, int8_path, faces)
    finalize(int8_path, job.about, job.opset)
    report = evaluate_int8(path, int8_path, *validation_faces(job.evaluation))
    int8_path.replace(path) if report["kept"] else int8_path.unlink()
    return report | {"calibration_images": len(faces)}


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
        training=training_entry(job.runs),
        export=_describe_export(path, job) | measured,
        licence=licence(job.runs),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _describe_model(path: Path, job: ExportJob) -> dict[str, Any]:
    return {
        "file": MODEL,
        "sha256": sha256(path),
        "bytes": path.stat().st_size,
        "parameters": count_parameters(job.model),
        "architecture": " + ".join(run.config.model.name for run in job.runs),
    }


def _describe_export(path: Path, job: ExportJob) -> dict[str, Any]:
    versions = {name: package_version(name) for name in _PACKAGES}
    calibration = calibration_entry(job.calibration)
    about = {"versions": versions, "opset": standard_opset(onnx.load(path)), "calibration": calibration}
    # Cards without it are of models without test-time augmentation.
    return about | ({"tta": job.tta} if job.tta else {})


def _metrics(path: Path, job: ExportJob, precision: str) -> dict[str, Any]:
    """Return the metrics of the exported file if the validation data is available, else those of the run."""
    recorded = recorded_metrics(job.first) if len(job.runs) == 1 else {}
    others = ["in fp32"] * (precision != "fp32") + ["without test-time augmentation"] * (job.tta is not None)
    if others:
        model = f"the model {' and '.join(others)}"
        recorded = {role: entry | {"of": model} for role, entry in recorded.items()}
    if job.evaluation is None:
        return recorded
    faces, target = validation_faces(job.evaluation)
    probs = predict_probabilities(path, faces)
    fitted = job.calibration.temperature if job.calibration else None
    measured = measure_metrics(job.evaluation, job.first.checkpoint.labels, target, probs, fitted)
    return recorded | {"val": measured | {"copies_in_training": copies_in_training(job.runs)}}


def load_or_fit_calibration(
    runs: Sequence[TrainedRun], evaluation: EvaluationData | None, tta: str | None = None
) -> Calibration | None:
    """Return the calibration that fer-evaluate stored for these weights, or fit one on the validation split.

    Args:
        runs: One run, or the members of an ensemble; for an ensemble, and with test-time augmentation, a
            calibration is always fitted.
        evaluation: The run's validation data, from `fer.export.sample_images.open_validation_data`.
        tta: Test-time augmentation of the exported model.

    Returns:
        None if there is neither a stored calibration nor data; the model is then exported uncalibrated.
    """
    single_run = runs[0] if len(runs) == 1 and tta is None else None
    stored = read_calibration(single_run.path.parent, single_run.model_sha256) if single_run else None
    if stored is not None or evaluation is None:
        return stored
    # All members were selected on these images, so they share their provenance.
    about = evaluation.provenance(runs[0]).about
    predictions = [score_run(run, evaluation.split, about, tta).predictions for run in runs]
    scored = predictions[0] if len(runs) == 1 else ensemble_predictions(predictions)
    return find_calibration(scored, single_run, evaluation)
