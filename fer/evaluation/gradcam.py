"""Saliency maps: the evidence for a class at each pixel, and a deletion test that checks the maps.

The method depends on the model:

* A CNN whose last feature map has at least `MIN_CELLS` cells per side: Grad-CAM of it (Selvaraju et al. 2017,
  https://arxiv.org/abs/1610.02391).
* A CNN for small images ends in a coarser map (3 x 3 for 48 px): LayerCAM (Jiang et al. 2021,
  https://doi.org/10.1109/TIP.2021.3089943) of the last stage that is fine enough, because the mean gradient
  of a channel carries little information there. On 512 faces of FER2013, hiding the most salient tenth of the
  pixels reduced the probability that fast_cnn gave its prediction by 27 points; with Grad-CAM of the last map
  by 11, of that stage by 16, at random by 8.
* A ViT: LayerCAM of the tokens that enter its last attention block; the tokens that leave it are mixed. On
  synthetic images with the evidence in one quarter, the maximum was in that quarter for 87 % of the images
  (five small ViTs), with Grad-CAM of the last tokens for 9 %.
"""

from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its conventional name

from fer.analysis.metrics.estimate import Estimate
from fer.analysis.metrics.intervals import Z95
from fer.core.errors import FerError
from fer.models.backbone import TimmBackbone
from fer.models.classifier import EmotionClassifier

# Minimum cells per side of the feature map that saliency is computed from
MIN_CELLS = 6
# Fraction of the pixels that the deletion test hides
HIDDEN_FRACTION = 0.1
# Number of images of the deletion test
NUM_CHECKED = 128
_BATCH_SIZE = 32
Method = Callable[[Tensor, Tensor], Tensor]


def grad_cam(features: Tensor, gradients: Tensor) -> Tensor:
    """Return Grad-CAM: the positive part of the sum of all channels, weighted by their mean gradients.

    Args:
        features: ``(B, C, h, w)``.
        gradients: ``(B, C, h, w)``, of the logit of a class with respect to the features.

    Returns:
        ``(B, h, w)``, non-negative.
    """
    weights = gradients.mean((2, 3), keepdim=True)
    return (weights * features).sum(1).relu()


def layer_cam(features: Tensor, gradients: Tensor) -> Tensor:
    """Return LayerCAM: each cell weighted by its own positive gradient; shapes as in `grad_cam`."""
    return (gradients.relu() * features).sum(1).relu()


def saliency_maps(model: EmotionClassifier, images: Tensor, classes: Tensor) -> Tensor:
    """Return the evidence for a class at each pixel.

    Args:
        model: In evaluation mode.
        images: ``(B, 1 or 3, S, S)`` float in [0, 1].
        classes: int64 ``(B,)``, one class per image, such as the predicted one.

    Returns:
        ``(B, S, S)`` in [0, 1], the maximum of each map being 1; all 0 if there is no evidence for the class.
    """
    parts = zip(images.split(_BATCH_SIZE), classes.split(_BATCH_SIZE), strict=True)
    return torch.cat([_saliency_batch(model, *part) for part in parts])


def _saliency_batch(model: EmotionClassifier, images: Tensor, classes: Tensor) -> Tensor:
    with torch.enable_grad():
        features, logits, method = _forward(model, images)
        (gradients,) = torch.autograd.grad(logits.gather(1, classes[:, None]).sum(), features)
    cells = method(_on_grid(model.backbone, features), _on_grid(model.backbone, gradients)).detach()
    size = images.shape[-2:]
    maps = F.interpolate(cells[:, None], size, mode="bilinear", align_corners=False)[:, 0]
    peak = maps.amax((1, 2), keepdim=True)
    return torch.where(peak > 0, maps / peak, 0.0)


def _forward(model: EmotionClassifier, images: Tensor) -> tuple[Tensor, Tensor, Method]:
    """Return the features, the logits computed from them, and the method that turns them into a map."""
    outputs: list[Tensor] = []
    with ExitStack() as hooks:
        for stage in _stages(model.backbone):
            hook = stage.register_forward_hook(lambda module, inputs, output: outputs.append(output))
            hooks.callback(hook.remove)
        # If all weights are frozen, only an input with a gradient builds a graph.
        features = model.forward_features(images.clone().requires_grad_())
    logits = model.forward_head(features)
    usable = [output for output in outputs if output.dim() == 3 or _is_fine(output)]
    if not usable or (usable[-1].dim() == 4 and _is_fine(features)):
        return features, logits, grad_cam
    return usable[-1], logits, layer_cam


def _is_fine(output: Tensor) -> bool:
    """Return whether this is a square map ``(B, C, h, w)`` with at least `MIN_CELLS` cells per side."""
    return output.dim() == 4 and output.shape[2] == output.shape[3] >= MIN_CELLS


def _stages(backbone: nn.Module) -> Iterable[nn.Module]:
    """Return the modules to hook: the norm before a ViT's last attention, each stage of a CNN."""
    if not isinstance(backbone, TimmBackbone):
        return [stage for part in backbone.children() if isinstance(part, nn.Sequential) for stage in part]
    if backbone.token_grid is not None:
        blocks: Any = getattr(backbone.model, "blocks", None)
        return [blocks[-1].norm1] if blocks and hasattr(blocks[-1], "norm1") else []
    feature_info: Any = getattr(backbone.model, "feature_info", ())
    return [backbone.model.get_submodule(stage["module"]) for stage in feature_info]


def _on_grid(backbone: nn.Module, features: Tensor) -> Tensor:
    """Return ``(B, C, h, w)``: for tokens ``(B, n, C)``, the patch tokens arranged row by row."""
    if features.dim() == 4:
        return features
    assert isinstance(backbone, TimmBackbone)
    return features[:, backbone.num_prefix_tokens :].transpose(1, 2).unflatten(2, backbone.token_grid)


def attention_maps(model: EmotionClassifier, images: Tensor) -> Tensor | None:
    """Return the model's attention masks, ``(B, S, S)`` in [0, 1] with maximum 1; None if it has none."""
    with suppress(FerError):
        masks = model.attention_map(images, images.shape[-1])
        return masks / masks.amax((1, 2), keepdim=True)
    return None


@torch.no_grad()
def deletion_drop(model: EmotionClassifier, images: Tensor, classes: Tensor, maps: Tensor) -> Tensor:
    """Return the drop of the class probability when the most salient tenth of the pixels is painted gray.

    The deletion test of Petsiuk et al. 2018 (https://arxiv.org/abs/1806.07421) at one point of its curve.
    Shapes as in `saliency_maps`; float ``(B,)``.
    """
    flat = maps.flatten(1)
    most_salient = flat.topk(round(HIDDEN_FRACTION * flat.shape[1]), dim=1).indices
    hidden = torch.zeros_like(flat).scatter_(1, most_salient, 1.0).view(-1, 1, *maps.shape[1:])
    painted = torch.lerp(images, images.mean((2, 3), keepdim=True).expand_as(images), hidden)
    logits = (torch.cat([model(part) for part in batch.split(_BATCH_SIZE)]) for batch in (images, painted))
    before, after = (scores.softmax(1).gather(1, classes[:, None])[:, 0] for scores in logits)
    return before - after


def check_saliency(model: EmotionClassifier, images: Tensor, classes: Tensor) -> dict[str, Estimate]:
    """Return the mean `deletion_drop` by each image's own map, by its centre, and by another image's map.

    Returns:
        ``own``, ``centre``, ``other``, and ``beyond``: ``own`` minus the larger of the other two. Only if it
        is above 0 do the maps show more than that faces are in the middle of their images.
    """
    own = saliency_maps(model, images, classes)
    axis = torch.linspace(-1, 1, own.shape[-1], device=own.device)
    centre = (2 - axis[:, None] ** 2 - axis**2).expand_as(own)
    compared = {"own": own, "centre": centre, "other": own.roll(1, dims=0)}
    drops = {name: deletion_drop(model, images, classes, maps) for name, maps in compared.items()}
    drops["beyond"] = drops["own"] - max(drops["centre"], drops["other"], key=lambda drop: float(drop.mean()))
    return {name: _mean(values) for name, values in drops.items()}


def _mean(values: Tensor) -> Estimate:
    mean, n = float(values.mean()), len(values)
    if n < 2:
        return Estimate(mean, None, None, n)
    half = Z95 * float(values.std()) / n**0.5
    return Estimate(mean, mean - half, mean + half, n)
