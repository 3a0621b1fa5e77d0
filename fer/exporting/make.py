"""An export from its beginning to its end: run in, bundle out."""

from argparse import Namespace
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib import metadata as packages
from pathlib import Path
from typing import Any

from fer.analysis.temperature import Calibration
from fer.bundle.card import SCHEMA_VERSION, Card
from fer.bundle.files import MODEL, Bundle, draft, read_bundle, sha256, write_card
from fer.errors import FerError
from fer.exporting import figures, int8
from fer.exporting.calibration import calibration_of, describe, threshold_of
from fer.exporting.graph import Deployed, mask_of
from fer.exporting.half import halve
from fer.exporting.onnx_file import OPSET, finish, metadata, write_onnx
from fer.exporting.origin import choose_name, crop_rule, licence, training
from fer.exporting.own_data import find_scene, is_gray, parity_faces, training_faces, validation_faces
from fer.exporting.parity import NUM_IMAGES, check_parity
from fer.exporting.together import Network, check_together, model_of
from fer.models import count_parameters
from fer.places import at_home
from fer.scoring import Scene, TrainedRun, load_run

_PACKAGES = ("fer-lightning", "torch", "timm", "onnx", "onnxruntime")


@dataclass(frozen=True)
class Job:
    """What is exported.

    Attributes:
        runs: The model, or several whose probabilities are averaged.
        name: Of the bundle.
        scene: The runs' own validation split, where it is at hand.
        calibration: Of its confidence, where there is one.
        crop: The rule that its pictures were cut by, where that was said.
    """

    runs: tuple[TrainedRun, ...]
    name: str
    scene: Scene | None
    calibration: Calibration | None
    crop: str | None

    @cached_property
    def model(self) -> Network:
        """Return the network, in evaluation mode."""
        return model_of(self.runs)

    @property
    def first(self) -> TrainedRun:
        """Return the run that speaks for all in what they have in common."""
        return self.runs[0]

    @property
    def temperature(self) -> float:
        """Return what logits are divided by."""
        return self.calibration.temperature if self.calibration else 1.0

    @property
    def side(self) -> int:
        """Return the side in pixels of the pictures as they were held in training."""
        return int(self.first.trained.manifest["image_shape"][0])

    @property
    def network_side(self) -> int:
        """Return the side in pixels that they were resized to for the network."""
        return int(self.first.trained.config["model"]["image_size"])

    @property
    def about(self) -> dict[str, str]:
        """Return what the ONNX file says of itself."""
        return metadata(self.name, self.first.trained.labels, SCHEMA_VERSION)


def export(request: Namespace) -> tuple[Bundle, TrainedRun]:
    """Export as asked on the command line.

    Args:
        request: What `fer.export.parser` returns.

    Returns:
        The bundle, and the run that it is of, of several the first.

    Raises:
        FerError: Anything that the user can put right, or a model that does not answer as in training; then
            nothing is written, and an earlier bundle stays.
    """
    runs = tuple(load_run(source, request.checkpoint) for source in request.runs)
    check_together(runs)
    run = runs[0]
    name = choose_name(runs, request.name)
    usual = (run.folder or run.path.parent) / ("bundle" if len(runs) == 1 else f"bundle_{name}")
    target = at_home(request.output) if request.output else usual
    with draft(target) as folder:
        scene = find_scene(run, request.calibration)
        if request.int8 and scene is None:
            raise FerError("--int8 needs pictures to measure with; name the run's data with --calibration.")
        job = Job(runs, name, scene, calibration_of(runs, scene), request.crop)
        write_card(folder, _fill(folder / MODEL, job, request))
    return read_bundle(target), run


def _fill(path: Path, job: Job, request: Namespace) -> Card:
    """Write the model file, prove it, make it small where that is asked for; return its card."""
    network = Deployed(job.model, is_gray(job.first), job.temperature, job.side, job.network_side)
    write_onnx(network, path, job.about)
    pictures, kind = parity_faces(job.first, job.scene, job.side, NUM_IMAGES)
    parity = check_parity(path, job.model, pictures, job.temperature, "fp32", job.network_side)
    parity |= {"pictures": kind}
    precision, quantisation = "fp32", None
    if request.int8:
        quantisation = _try_int8(path, job)
        precision = "int8" if quantisation["kept"] else "fp32"
    if request.fp16:
        halve(path, path)
        finish(path, job.about)
        parity = check_parity(path, job.model, pictures, job.temperature, "fp16", job.network_side)
        parity |= {"pictures": kind}
        precision = "fp16"
    return _card(path, job, precision, {"parity": parity, "quantisation": quantisation})


def _try_int8(path: Path, job: Job) -> dict[str, Any]:
    """Put an int8 model in the place of the fp32 one if it is worth it; return what was measured."""
    assert job.scene is not None
    faces = training_faces(job.scene, int8.NUM_CALIBRATION)
    small = path.with_suffix(".int8")
    int8.quantise(path, small, faces)
    finish(small, job.about)
    verdict = int8.judge(path, small, *validation_faces(job.scene))
    small.replace(path) if verdict.kept else small.unlink()
    return verdict.report | {"calibration_images": len(faces)}


def _card(path: Path, job: Job, precision: str, measured: dict[str, Any]) -> Card:
    threshold = job.calibration and threshold_of(job.calibration)
    return Card(
        name=job.name,
        version=0,
        labels=job.first.trained.labels,
        image_size=job.side,
        crop=crop_rule(job.runs, job.crop),
        temperature=job.temperature,
        abstain_below=threshold.confidence if threshold else None,
        attention=mask_of(job.model) is not None,
        precision=precision,
        model=_describe_model(path, job),
        metrics=_metrics(path, job, precision),
        training=training(job.runs),
        export=_describe_export(job) | measured,
        licence=licence(job.runs),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _describe_model(path: Path, job: Job) -> dict[str, Any]:
    return {
        "file": MODEL,
        "sha256": sha256(path),
        "bytes": path.stat().st_size,
        "parameters": count_parameters(job.model),
        "architecture": " + ".join(run.trained.config["model"]["name"] for run in job.runs),
    }


def _describe_export(job: Job) -> dict[str, Any]:
    versions = {name: _version(name) for name in _PACKAGES}
    return {"versions": versions, "opset": OPSET, "calibration": describe(job.calibration)}


def _version(name: str) -> str | None:
    try:
        return packages.version(name)
    except packages.PackageNotFoundError:
        return None


def _metrics(path: Path, job: Job, precision: str) -> dict[str, Any]:
    """Return figures of the very file, where its run's data is at hand; else those that the run left."""
    left = figures.recorded(job.first) if len(job.runs) == 1 else {}
    if precision != "fp32":
        left = {role: entry | {"of": "the model in fp32"} for role, entry in left.items()}
    if job.scene is None:
        return left
    faces, target = validation_faces(job.scene)
    found = figures.measured(job.scene, job.first.trained.labels, target, int8.answers(path, faces))
    return left | {"val": found | {"copies_in_training": figures.copies_in_training(job.runs)}}
