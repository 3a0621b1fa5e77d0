"""What W&B shows besides metrics: confusion matrix, scores by emotion, errors, and the best checkpoint."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fer.core.names import artifact_name
from fer.training.error_samples import ErrorSample

_SCORE_COLUMNS = ("precision", "recall", "f1")
_ERROR_COLUMNS = (
    "image", "true", "predicted", "confidence", "probability of true", "loss", "index", "listed as",
)  # fmt: skip
# Small images are enlarged to about this width, because tables show them in their size.
_WIDTH = 96


def confusion_chart(counts: np.ndarray, names: Sequence[str], title: str) -> Any:
    """Return W&B's interactive confusion matrix of counts ``(K, K)``, true emotions in rows."""
    import wandb

    true, predicted = np.indices(counts.shape)
    flat = counts.ravel()
    return wandb.plot.confusion_matrix(
        y_true=np.repeat(true.ravel(), flat).tolist(),
        preds=np.repeat(predicted.ravel(), flat).tolist(),
        class_names=list(names),
        title=title,
    )


def emotion_table(best: Mapping[str, float], counts: np.ndarray, names: Sequence[str]) -> Any:
    """Return a table of precision, recall, F1 and number of images by emotion."""
    import wandb

    rows = [
        [name, *(best.get(f"val_emotion/{column}/{name}") for column in _SCORE_COLUMNS), int(images)]
        for name, images in zip(names, counts.sum(1), strict=True)
    ]
    return wandb.Table(columns=["emotion", *_SCORE_COLUMNS, "images"], data=rows)


def error_table(errors: Sequence[ErrorSample]) -> Any:
    """Return a table of errors with their images."""
    import wandb

    from fer.analysis.plots.images import resize_by_integer_factor, to_rgb_bytes

    rows = []
    for error in errors:
        pixels = resize_by_integer_factor(to_rgb_bytes(error.image[None]), _WIDTH)[0]
        values = [error.true, error.predicted, error.confidence, error.true_probability, error.loss]
        rows.append([wandb.Image(pixels), *values, error.index, error.reason])
    return wandb.Table(columns=list(_ERROR_COLUMNS), data=rows)


def checkpoint_artifact(path: Path, run_name: str, metadata: Mapping[str, Any]) -> Any:
    """Return an artifact with a checkpoint; the file is not copied to the run folder and to W&B's cache."""
    import wandb

    artifact = wandb.Artifact(artifact_name(f"{run_name}-best"), type="model", metadata=dict(metadata))
    artifact.add_file(str(path), name="best.ckpt", policy="immutable", skip_cache=True)
    return artifact
