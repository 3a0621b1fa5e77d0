"""Where a model looks: the evidence for a class as heat over the image, and how far it can be trusted.

* A CNN whose last feature map has at least `MIN_CELLS` cells a side: Grad-CAM of it (Selvaraju et al. 2017,
  https://arxiv.org/abs/1610.02391).
* One for small images ends in a coarser map (3 x 3 of 48 px): LayerCAM (Jiang et al. 2021,
  https://doi.org/10.1109/TIP.2021.3089943) of the last stage that is fine enough, where the mean gradient of
  a channel says little. On 512 faces of FER2013 hiding the hottest tenth took 27 points off what fast_cnn
  gave its prediction; with Grad-CAM of the last map 11, of that stage 16, at random 8.
* A ViT: LayerCAM of the tokens that its last attention takes in; those that leave it are mixed. On drawn
  images with the evidence in one quarter, five small ViTs were hottest there in 87 %, by Grad-CAM of the last
  tokens in 9 %.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that everybody knows it by

from fer.analysis.figure import Figure
from fer.analysis.heat import examples, plot_heat
from fer.analysis.images import Images
from fer.analysis.intervals import Z95
from fer.analysis.plots import png_bytes
from fer.analysis.predictions import Predictions
from fer.analysis.section import Picture, Section
from fer.data.augment import to_float
from fer.errors import FerError
from fer.models.backbone import TimmBackbone
from fer.models.classifier import EmotionClassifier
from fer.scoring.inference import without_tf32

MIN_CELLS = 6
HIDDEN = 0.1  # share of the pixels that is hidden to check the heat
MEASURED = 128  # images to check it on
_BATCH = 32
TITLES = {
    "gradcam": (
        "Where the evidence is",
        "beside each face the evidence for what was said: from none to yellow",
    ),
    "attention": ("What the model attends to", "beside each face the model's own mask: from none to yellow"),
}

Method = Callable[[Tensor, Tensor], Tensor]


def grad_cam(features: Tensor, gradients: Tensor) -> Tensor:
    """Return Grad-CAM: channels weighted by their mean gradient, summed, positive part.

    Args:
        features: ``(B, C, h, w)``.
        gradients: ``(B, C, h, w)``, of a class's logit with respect to them.

    Returns:
        ``(B, h, w)``, at least 0.
    """
    weights = gradients.mean((2, 3), keepdim=True)
    return (weights * features).sum(1).relu()


def layer_cam(features: Tensor, gradients: Tensor) -> Tensor:
    """Return LayerCAM: every cell weighted by its own positive gradient; shapes as in `grad_cam`."""
    return (gradients.relu() * features).sum(1).relu()


def heat_maps(model: EmotionClassifier, images: Tensor, classes: Tensor) -> Tensor:
    """Return where the evidence for a class is, as pictures.

    Args:
        model: In evaluation mode.
        images: ``(B, 1 or 3, S, S)`` float in [0, 1].
        classes: int64 ``(B,)``, one of each image, such as the predicted one.

    Returns:
        ``(B, S, S)`` in [0, 1], each map's maximum 1; all 0 where nothing speaks for the class.
    """
    parts = zip(images.split(_BATCH), classes.split(_BATCH), strict=True)
    return torch.cat([_heat(model, *part) for part in parts])


def _heat(model: EmotionClassifier, images: Tensor, classes: Tensor) -> Tensor:
    with torch.enable_grad():
        features, logits, method = _forward(model, images)
        (gradients,) = torch.autograd.grad(logits.gather(1, classes[:, None]).sum(), features)
    cells = method(_on_grid(model.backbone, features), _on_grid(model.backbone, gradients)).detach()
    size = images.shape[-2:]
    heat = F.interpolate(cells[:, None], size, mode="bilinear", align_corners=False)[:, 0]
    peak = heat.amax((1, 2), keepdim=True)
    return torch.where(peak > 0, heat / peak, 0.0)


def _forward(model: EmotionClassifier, images: Tensor) -> tuple[Tensor, Tensor, Method]:
    """Return the features to look at, the logits that follow from them, and how to make heat of them."""
    outputs: list[Tensor] = []
    with ExitStack() as hooks:
        for stage in _stages(model.backbone):
            hook = stage.register_forward_hook(lambda module, inputs, output: outputs.append(output))
            hooks.callback(hook.remove)
        # Where weights are frozen nothing but the image has a gradient.
        features = model.forward_features(images.clone().requires_grad_())
    logits = model.forward_head(features)
    usable = [output for output in outputs if output.dim() == 3 or _is_fine(output)]
    if not usable or (usable[-1].dim() == 4 and _is_fine(features)):
        return features, logits, grad_cam
    return usable[-1], logits, layer_cam


def _is_fine(output: Tensor) -> bool:
    """Return whether this is a map ``(B, C, h, w)`` of a square image, and not too coarse to tell places."""
    return output.dim() == 4 and output.shape[2] == output.shape[3] >= MIN_CELLS


def _stages(backbone: nn.Module) -> Iterable[nn.Module]:
    """Return where to look: before a ViT's last attention, after each stage of a CNN."""
    if not isinstance(backbone, TimmBackbone):
        return [stage for part in backbone.children() if isinstance(part, nn.Sequential) for stage in part]
    if backbone.token_grid is not None:
        blocks: Any = getattr(backbone.model, "blocks", None)
        return [blocks[-1].norm1] if blocks and hasattr(blocks[-1], "norm1") else []
    known: Any = getattr(backbone.model, "feature_info", ())
    return [backbone.model.get_submodule(stage["module"]) for stage in known]


def _on_grid(backbone: nn.Module, features: Tensor) -> Tensor:
    """Return ``(B, C, h, w)``: tokens ``(B, n, C)`` without class and register tokens, row by row."""
    if features.dim() == 4:
        return features
    assert isinstance(backbone, TimmBackbone)
    return features[:, backbone.num_prefix_tokens :].transpose(1, 2).unflatten(2, backbone.token_grid)


def attention_maps(model: EmotionClassifier, images: Tensor) -> Tensor | None:
    """Return the model's own attention, ``(B, S, S)`` in [0, 1] with maximum 1; None where it has no mask."""
    with suppress(FerError):
        masks = model.attention_map(images, images.shape[-1])
        return masks / masks.amax((1, 2), keepdim=True)
    return None


@torch.no_grad()
def fall_when_hidden(model: EmotionClassifier, images: Tensor, classes: Tensor, heat: Tensor) -> Tensor:
    """Return by how much the probability of the class falls if the hottest tenth is painted gray.

    The deletion test of Petsiuk et al. 2018 (https://arxiv.org/abs/1806.07421) at one point of its curve.
    Shapes as in `heat_maps`; float ``(B,)``.
    """
    flat = heat.flatten(1)
    hottest = flat.topk(round(HIDDEN * flat.shape[1]), dim=1).indices
    hidden = torch.zeros_like(flat).scatter_(1, hottest, 1.0).view(-1, 1, *heat.shape[1:])
    painted = torch.lerp(images, images.mean((2, 3), keepdim=True).expand_as(images), hidden)
    before, after = (_probability(model, batch, classes) for batch in (images, painted))
    return before - after


def _probability(model: EmotionClassifier, images: Tensor, classes: Tensor) -> Tensor:
    logits = torch.cat([model(part) for part in images.split(_BATCH)])
    return logits.softmax(1).gather(1, classes[:, None])[:, 0]


def check_heat(model: EmotionClassifier, images: Tensor, classes: Tensor) -> dict[str, Figure]:
    """Return the mean `fall_when_hidden` of each image's own heat, its centre, and another image's heat.

    Returns:
        ``own``, ``centre``, ``other``, and ``beyond``, by how much the first exceeds the larger of the other
        two: only above 0 does heat tell more than that faces are in the middle of their images.
    """
    heat = heat_maps(model, images, classes)
    line = torch.linspace(-1, 1, heat.shape[-1], device=heat.device)
    centre = (2 - line[:, None] ** 2 - line**2).expand_as(heat)
    compared = {"own": heat, "centre": centre, "other": heat.roll(1, dims=0)}
    falls = {name: fall_when_hidden(model, images, classes, one) for name, one in compared.items()}
    falls["beyond"] = falls["own"] - max(falls["centre"], falls["other"], key=lambda fall: float(fall.mean()))
    return {name: _mean(values) for name, values in falls.items()}


def _mean(values: Tensor) -> Figure:
    mean, n = float(values.mean()), len(values)
    half = Z95 * float(values.std()) / n**0.5 if n > 1 else float("nan")
    return Figure(mean, mean - half, mean + half, n) if n > 1 else Figure(mean, None, None, n)


def section(predictions: Predictions, images: Images, model: EmotionClassifier, image_size: int) -> Section:
    """Return the chapter: heat over right and wrong examples of each emotion, and whether to believe it.

    Args:
        predictions: Of a split.
        images: uint8 ``(N, H, W, C)``, square, the images of the predictions in their order.
        model: Which made the predictions; in evaluation mode.
        image_size: Side of its input, in pixels.
    """
    groups = examples(predictions)
    rows = np.concatenate(groups)
    batch, said = _batch(predictions, images, rows, model, image_size)
    some = np.random.default_rng(0).permutation(len(predictions))[:MEASURED]
    with without_tf32():
        maps = {"gradcam": heat_maps(model, batch, said), "attention": attention_maps(model, batch)}
        falls = check_heat(model, *_batch(predictions, images, some, model, image_size))
    pictures = [
        _picture(name, predictions, images[rows], heat, groups)
        for name, heat in maps.items()
        if heat is not None
    ]
    return Section(
        "gradcam", "Where the model looks", _words(falls), [], pictures, {"fall_when_hidden": falls}
    )


def _batch(
    predictions: Predictions, images: Images, rows: np.ndarray, model: EmotionClassifier, image_size: int
) -> tuple[Tensor, Tensor]:
    """Return images as the model takes them, and what was said of them."""
    device = next(model.parameters()).device
    pixels = torch.from_numpy(np.ascontiguousarray(images[rows])).permute(0, 3, 1, 2).to(device)
    return to_float(pixels, image_size), torch.from_numpy(predictions.preds[rows]).to(device)


def _picture(
    name: str, predictions: Predictions, images: np.ndarray, heat: Tensor, groups: Sequence[np.ndarray]
) -> Picture:
    side = tuple(images.shape[1:3])
    fitted = F.interpolate(heat[:, None], side, mode="bilinear", align_corners=False)[:, 0].clamp(0, 1)
    title, subtitle = TITLES[name]
    fig = plot_heat(predictions, images, fitted.cpu().numpy(), groups, title, subtitle)
    alt = f"{title}: {len(images)} faces, right and wrong ones of each emotion, with a map over each"
    caption = "Up to two right and two wrong images of each emotion, drawn by chance."
    return Picture(name, png_bytes(fig), alt, caption)


def _words(falls: dict[str, Figure]) -> list[str]:
    own, centre, other = (f"{100 * (falls[name].value or 0):.0f}" for name in ("own", "centre", "other"))
    believe = "more" if (falls["beyond"].low or 0) > 0 else "no more"
    return [
        "Heat shows where the evidence is for what the model said, right or wrong.",
        f"Hiding the hottest tenth of the pixels takes {own} points off the probability of the prediction "
        f"(mean of {falls['own'].n:,} images), a tenth at the centre {centre}, and under another image's "
        f"heat {other}. So the maps tell {believe} than that faces are in the middle of their images.",
    ]
