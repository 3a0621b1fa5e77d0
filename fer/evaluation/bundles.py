"""Evaluate exported models, bundles and foreign ONNX files: as runs, which answer what their file answers."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fer.bundle.card import CALIBRATED_ON, CALIBRATION, Card, CropRule, model_name
from fer.bundle.files import CARD, Bundle
from fer.bundle.foreign import ForeignClassifier
from fer.bundle.foreign_spec import OnnxFile, find_files
from fer.bundle.registry import REGISTRY, Registry, find_bundle, packaged_models
from fer.bundle.runtime import OnnxClassifier
from fer.core.errors import FerError, did_you_mean
from fer.core.hub import is_on_hub
from fer.core.paths import expand_user
from fer.evaluation.foreign import count_parameters, describe, external_files, identify
from fer.evaluation.runs import RunSource, TrainedRun, load_run
from fer.models.checkpoint import Checkpoint
from fer.models.config import ModelConfig
from fer.models.device import check_torch_device
from fer.training.config import RunConfig

ModelSource = RunSource | OnnxFile


class ExportedNetwork(nn.Module):
    """An exported model as a network, for `fer.models.inference.infer`.

    Its logits are the logarithms of the probabilities that the file answers, of int8 weights if the file has
    them. Those of a bundle are calibrated.

    Args:
        classifier: Runs the file.

    Shape: float images ``(B, 1 or 3, S, S)`` in [0, 1] in, logits float32 ``(B, K)`` out.
    """

    def __init__(self, classifier: OnnxClassifier | ForeignClassifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        pixels = (images.clamp(0, 1) * 255).round().to(torch.uint8).expand(-1, 3, -1, -1)
        faces = np.ascontiguousarray(pixels.permute(0, 2, 3, 1).cpu().numpy())
        probs = torch.from_numpy(self.classifier(faces))
        return probs.clamp_min(torch.finfo(torch.float32).tiny).log().to(images.device)


@dataclass(frozen=True)
class ExportedRun(TrainedRun):
    """An exported model in the place of a run.

    Attributes:
        card: Its card; of a foreign file what is known of it.
        location: The folder of the bundle, or the foreign file.
    """

    card: Card
    location: Path

    @cached_property
    def config(self) -> RunConfig:
        """The defaults, with the size of the input: an exported model has no config."""
        return RunConfig(model=ModelConfig.of("fast_cnn").replace(image_size=self.card.image_size))

    @property
    def seed(self) -> int | None:
        """Seed of the training, if the card has it."""
        return self.card.training.get("seed")

    @property
    def outputs(self) -> Path:
        """``outputs`` in the working folder: nothing is written beside the model."""
        return Path("outputs")

    @property
    def report_root(self) -> Path:
        """Folder of its reports."""
        return self.outputs / "evaluate" / self.name.replace(":", "_v")

    @property
    def variant(self) -> None:
        """None: an exported model is a single one."""
        return None

    @property
    def architecture(self) -> str:
        """Name of the network, as on the card."""
        return str(self.card.model["architecture"])

    @property
    def parameters(self) -> int:
        """Number of weights, as on the card."""
        return int(self.card.model["parameters"])

    @property
    def is_calibrated(self) -> bool:
        """True: the probabilities of the file are scored as they are."""
        return True

    @property
    def network(self) -> None:
        """None: an ONNX file has no layers whose maps could be shown."""
        return None

    @property
    def needs_color(self) -> bool:
        """Whether it was trained on images in color."""
        shape = self.checkpoint.manifest.get("image_shape", ())
        return len(shape) == 3 and shape[2] == 3

    @property
    def own_crop(self) -> CropRule:
        """The crop rule of the card."""
        return self.card.crop

    @property
    def facts(self) -> dict[str, str]:
        """What is known of the file, as a row of a table."""
        card = self.card
        return {
            "file": f"bundle {self.location.name}" if self.location.is_dir() else self.location.name,
            "precision": card.precision,
            "input": f"{card.image_size} px",
            "crop": card.crop.name,
            "trained on": str(card.training.get("data") or "not known"),
        }

    @property
    def file_sha256(self) -> str:
        """Hash of the file: in a comparison, each exported file is a candidate of its own."""
        return str(self.card.model["sha256"])


@dataclass(frozen=True)
class ForeignRun(ExportedRun):
    """A foreign ONNX file in the place of a run. What it was trained on is not known.

    Attributes:
        classifier: Runs the file as its spec says.
    """

    classifier: ForeignClassifier

    @property
    def parameters(self) -> int:
        """Number of weights in the file."""
        return count_parameters(self.classifier.path)

    @property
    def needs_color(self) -> bool:
        """Whether the spec asks for color."""
        return self.classifier.spec.color != "gray"

    @property
    def facts(self) -> dict[str, str]:
        """What is known of the file, as a row of a table."""
        return {**super().facts, "precision": "not known", "trained on": "not known"}

    @property
    def megabytes(self) -> float:
        """Size of the file with its external data, in 10^6 bytes."""
        files = [self.path, *external_files(self.path)]
        return sum(file.stat().st_size for file in files) / 1e6

    @property
    def spec(self) -> dict[str, str]:
        """How the file is run, for the report."""
        return describe(self.classifier)

    @property
    def file_sha256(self) -> str:
        """Hash of the file with its spec."""
        return self.model_sha256


def load_model(source: ModelSource, which: str | None = None, device: str | None = None) -> TrainedRun:
    """Load a run, or an exported model as one.

    Args:
        source: As for `load_run`; or the folder of a bundle, or the name of a model of the package, of the
            registry or of the Hub; or a foreign ONNX file, which has a spec beside it if none is named.
        which: ``best`` or ``last``, for a run folder.
        device: Where an exported model runs, one of `fer.core.device.DEVICES`; None: ``auto``. A checkpoint
            runs on the default of the process (`fer.models.device`).

    Raises:
        FerError: There is no such run or model, it is damaged, or the device does not have it.
    """
    if isinstance(source, OnnxFile):
        return _foreign(source, device)
    name = os.fspath(source) if isinstance(source, str | os.PathLike) else None
    if name is not None and name.endswith(".onnx"):
        return _foreign(OnnxFile(expand_user(name)), device)
    if name is not None and is_on_hub(name):
        return _as_run(find_bundle(name), device)
    if name is not None and (expand_user(name) / CARD).is_file():
        return _as_run(find_bundle(expand_user(name)), device)
    try:
        run = load_run(source, which)
    except FerError as error:
        if name is None or expand_user(name).exists():
            raise
        names = [*packaged_models(), *Registry(REGISTRY).names()]
        if name.partition(":")[0] not in names:
            models = f"Or name a model: {', '.join(names)}.{did_you_mean(name, names)}"
            raise FerError(f"{error} {models}") from None
        return _as_run(find_bundle(name), device)
    check_torch_device()
    return run


def _as_run(bundle: Bundle, device: str | None) -> ExportedRun:
    card, training = bundle.card, bundle.card.training
    # As many threads as the command was given.
    network = ExportedNetwork(OnnxClassifier(bundle, torch.get_num_threads(), device))
    manifest = dict(training.get("manifest") or {"splits": {}})
    if (fitted := card.metrics.get(CALIBRATION)) is not None:
        manifest[CALIBRATED_ON] = fitted["manifest"]
    checkpoint = Checkpoint(
        network,  # type: ignore[arg-type]  # called like one, and never asked for its layers
        card.labels,
        {},
        manifest,
        training.get("epoch") or 0,
        training.get("init_from"),
        teachers=training.get("teachers") or [],
    )
    weights, recipe = card.model["sha256"], training.get("recipe_sha256")
    path = bundle.folder / card.model["file"]
    return ExportedRun(
        model_name(card), path, None, checkpoint, weights, recipe or weights, card, bundle.folder
    )


def _foreign(file: OnnxFile, device: str | None) -> ForeignRun:
    classifier = ForeignClassifier(file.path, file.spec_path, torch.get_num_threads(), device)
    card = classifier.card
    checkpoint = Checkpoint(
        ExportedNetwork(classifier),  # type: ignore[arg-type]  # as above
        card.labels,
        {},
        {"splits": {}},
        0,
        None,
    )
    identity = identify(classifier)
    return ForeignRun(card.name, file.path, None, checkpoint, identity, identity, card, file.path, classifier)


def list_models(
    sources: ModelSource | Sequence[ModelSource],
    onnx: Sequence[str | Path] = (),
    spec: Sequence[str | Path] = (),
) -> list[ModelSource]:
    """Return all models of a command: those that are named, then foreign files with their specs.

    Raises:
        FerError: There is no model, or there are more specs than files.
    """
    if isinstance(sources, str) or not isinstance(sources, Sequence):
        sources = [sources]
    found = [*sources, *find_files(onnx, spec)]
    if not found:
        raise FerError("RUN: expected a run, a bundle or --onnx FILE, got none. Name a model.")
    return found


def check_data(runs: Sequence[TrainedRun], data: str | None) -> None:
    """Check that exported models are scored on data that are named.

    Raises:
        FerError: ``data`` is None.
    """
    exported = [run for run in runs if run.file_sha256 is not None]
    if exported and data is None:
        raise missing_data(exported[0])


def check_checkpoint(runs: Sequence[TrainedRun], which: str | None) -> None:
    """Check that there is a run that has checkpoints to choose from.

    Raises:
        FerError: ``which`` is given, and all models are exported.
    """
    if which is not None and all(run.file_sha256 is not None for run in runs):
        raise FerError(
            f"--checkpoint {which}: expected a run folder with it, got only exported models. Omit it."
        )


def missing_data(run: TrainedRun) -> FerError:
    """Return the error that an exported model does not know where its data are."""
    location = run.location if isinstance(run, ExportedRun) else run.path
    return FerError(
        f"{location}: expected --data with an exported model, which does not know where its data are, got "
        "none. Example: --data fer2013:$HOME/data/fer2013.csv --split val."
    )
