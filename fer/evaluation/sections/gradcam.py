"""The report section on saliency: maps of correct and wrong examples, and the deletion test of the maps."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its conventional name

from fer.analysis.metrics.estimate import Estimate
from fer.analysis.plots.images import plot_saliency, sample_examples
from fer.analysis.plots.style import png_bytes
from fer.analysis.predictions import Images, Predictions
from fer.analysis.report.document import Plot, Section
from fer.data.augment import to_float
from fer.evaluation.gradcam import NUM_CHECKED, attention_maps, check_saliency, saliency_maps
from fer.models.classifier import EmotionClassifier
from fer.models.inference import without_tf32

SECTION_TITLE = "Saliency maps"
# Plot -> title and subtitle
_TITLES = {
    "gradcam": (
        "Evidence for the prediction",
        "next to each face the evidence for the predicted emotion: yellow is the most",
    ),
    "attention": ("Attention mask of the model", "next to each face the mask: yellow is the most"),
}


def gradcam_section(
    predictions: Predictions, images: Images, model: EmotionClassifier, image_size: int
) -> Section:
    """Return the section with saliency maps of correct and wrong examples of each emotion.

    ``model`` is that of the predictions, in evaluation mode, with an input of ``image_size`` pixels.
    """
    groups = sample_examples(predictions)
    rows = np.concatenate(groups)
    batch, predicted = _batch(predictions, images, rows, model, image_size)
    checked = np.random.default_rng(0).permutation(len(predictions))[:NUM_CHECKED]
    with without_tf32():
        maps = {"gradcam": saliency_maps(model, batch, predicted), "attention": attention_maps(model, batch)}
        drops = check_saliency(model, *_batch(predictions, images, checked, model, image_size))
    plots = [
        _plot(name, predictions, images[rows], saliency, groups)
        for name, saliency in maps.items()
        if saliency is not None
    ]
    return Section("gradcam", SECTION_TITLE, _paragraphs(drops), [], plots, {"fall_when_hidden": drops})


def _batch(
    predictions: Predictions, images: Images, rows: np.ndarray, model: EmotionClassifier, image_size: int
) -> tuple[Tensor, Tensor]:
    """Return the input of the model for some images, and the predicted classes."""
    device = next(model.parameters()).device
    pixels = torch.from_numpy(np.ascontiguousarray(images[rows])).permute(0, 3, 1, 2).to(device)
    return to_float(pixels, image_size), torch.from_numpy(predictions.preds[rows]).to(device)


def _plot(
    name: str, predictions: Predictions, images: np.ndarray, maps: Tensor, groups: Sequence[np.ndarray]
) -> Plot:
    side = tuple(images.shape[1:3])
    resized = F.interpolate(maps[:, None], side, mode="bilinear", align_corners=False)[:, 0].clamp(0, 1)
    title, subtitle = _TITLES[name]
    fig = plot_saliency(predictions, images, resized.cpu().numpy(), groups, title, subtitle)
    alt = f"{title}: {len(images)} faces, correct and wrong ones of each emotion, with a map over each"
    caption = "Up to two correct and two wrong images of each emotion, chosen at random."
    return Plot(name, png_bytes(fig), alt, caption)


def _paragraphs(drops: dict[str, Estimate]) -> list[str]:
    own, centre, other = (f"{100 * (drops[name].value or 0):.0f}" for name in ("own", "centre", "other"))
    more = "more" if (drops["beyond"].low or 0) > 0 else "no more"
    return [
        "The maps show the evidence for the predicted emotion, whether the prediction is right or wrong.",
        f"Hiding the most salient tenth of the pixels reduces the probability of the prediction by {own} "
        f"points (mean of {drops['own'].n:,} images). Hiding a tenth at the centre reduces it by {centre} "
        f"points, and hiding by the map of another image by {other}. So the maps give {more} information "
        "than the central position of the faces.",
    ]
