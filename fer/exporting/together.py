"""Ensembles: several models in one file, whose probabilities are averaged."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fer.errors import FerError
from fer.labels import check_same_labels
from fer.models import EmotionClassifier
from fer.scoring import TrainedRun


class Ensemble(nn.Module):
    """An ensemble of classifiers with one label space; their probabilities are averaged.

    Args:
        members: Two or more classifiers in evaluation mode.

    Shape: as for each member. The logits are the logarithms of the mean probabilities.
    """

    def __init__(self, members: Sequence[EmotionClassifier]) -> None:
        """Register the members as submodules."""
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(B, num_classes)``."""
        probs = torch.stack([member(images).softmax(1) for member in self.members]).mean(0)
        return probs.clamp_min(torch.finfo(torch.float32).tiny).log()


Network = EmotionClassifier | Ensemble


def combined_model(runs: Sequence[TrainedRun]) -> Network:
    """Return the model of a run, or the ensemble of several."""
    return runs[0].checkpoint.model if len(runs) == 1 else Ensemble([run.checkpoint.model for run in runs])


def check_compatible(runs: Sequence[TrainedRun]) -> None:
    """Check that runs can be exported as one ensemble.

    Raises:
        FerError: Their emotions, image size, image channels or validation images differ, or a run is given
            twice.
    """
    first, known = runs[0], {runs[0].model_sha256}
    for other in runs[1:]:
        check_same_labels(first.checkpoint.labels, other.checkpoint.labels, str(other.path))
        if other.model_sha256 in known:
            raise FerError(
                f"{other.path}: expected different runs, got the same weights twice. Name each run once."
            )
        known.add(other.model_sha256)
        for name, value in _SHARED_PROPERTIES.items():
            if value(first) != value(other):
                raise FerError(
                    f"{other.path}: expected the same {name} as {first.path} ({value(first)}), got "
                    f"{value(other)}. All models of an ensemble get the same images."
                )
        if not _same_validation(first, other):
            raise FerError(
                f"{other.path}: expected a model with the same validation images as {first.path}: the "
                "ensemble is calibrated and evaluated on them. Train both on the same data set with the same "
                "options."
            )


def _side(run: TrainedRun) -> int:
    return int(run.checkpoint.config["model"]["image_size"])


def _channels(run: TrainedRun) -> int:
    return int(run.checkpoint.manifest["image_shape"][2])


_SHARED_PROPERTIES = {"image size": _side, "number of channels": _channels}


def _same_validation(first: TrainedRun, other: TrainedRun) -> bool:
    """Return whether both runs have validation images with the same hashes."""
    first_part, other_part = (run.checkpoint.manifest["splits"].get("val", {}) for run in (first, other))
    kinds = [kind for kind in ("pixels_sha256", "files_sha256") if kind in first_part and kind in other_part]
    return bool(kinds) and all(first_part[kind] == other_part[kind] for kind in kinds)
