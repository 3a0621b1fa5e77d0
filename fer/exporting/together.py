"""Several models as one, in one file: the mean of their probabilities."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fer.errors import FerError
from fer.labels import check_same
from fer.models import EmotionClassifier
from fer.scoring import TrainedRun


class Together(nn.Module):
    """Classifiers of one label space, whose probabilities are averaged.

    Args:
        members: Two or more, in evaluation mode.

    Shape: as that of each of them; the logits are the logarithms of the mean probabilities.
    """

    def __init__(self, members: Sequence[EmotionClassifier]) -> None:
        """Take them in."""
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(B, num_classes)``."""
        probs = torch.stack([member(images).softmax(1) for member in self.members]).mean(0)
        return probs.clamp_min(torch.finfo(torch.float32).tiny).log()


Network = EmotionClassifier | Together


def model_of(runs: Sequence[TrainedRun]) -> Network:
    """Return the model of a run, or those of several as one."""
    return runs[0].trained.model if len(runs) == 1 else Together([run.trained.model for run in runs])


def check_together(runs: Sequence[TrainedRun]) -> None:
    """Refuse runs that cannot share a file, or could not be judged together.

    Raises:
        FerError: Emotions, size or colour of their pictures, or their validation images differ, or one is
            named twice.
    """
    first, known = runs[0], {runs[0].model_sha256}
    for other in runs[1:]:
        check_same(first.trained.labels, other.trained.labels, str(other.path))
        if other.model_sha256 in known:
            raise FerError(f"{other.path}: these weights are named twice. Name each run once.")
        known.add(other.model_sha256)
        for what, of in _IN_COMMON.items():
            if of(first) != of(other):
                raise FerError(
                    f"{other.path}: expected a model for pictures of the same {what} as {first.path}, got "
                    f"{of(other)} and {of(first)}. Models in one bundle see the same pictures."
                )
        if not _chosen_on_the_same(first, other):
            raise FerError(
                f"{other.path}: expected a model chosen on the same validation images as {first.path}: what "
                "both say together is calibrated and judged on these. Train them on one set, held alike."
            )


def _side(run: TrainedRun) -> int:
    return int(run.trained.config["model"]["image_size"])


def _channels(run: TrainedRun) -> int:
    return int(run.trained.manifest["image_shape"][2])


_IN_COMMON = {"size in pixels": _side, "number of colours": _channels}


def _chosen_on_the_same(first: TrainedRun, other: TrainedRun) -> bool:
    """Whether both have validation images, and these have the same hashes of a kind."""
    one, two = (run.trained.manifest["splits"].get("val", {}) for run in (first, other))
    kinds = [kind for kind in ("pixels_sha256", "files_sha256") if kind in one and kind in two]
    return bool(kinds) and all(one[kind] == two[kind] for kind in kinds)
