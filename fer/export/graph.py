"""The exported network of a run or an ensemble, and its ONNX file: uint8 RGB images in, probabilities out."""

import copy
import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from fer.bundle.runtime import ATTENTION, FACES, PROBABILITIES
from fer.core.errors import FerError
from fer.core.labels import LabelSpace, check_same_labels
from fer.data.augment import resize
from fer.evaluation.runs import TrainedRun
from fer.export.compatibility import make_compatible
from fer.models.classifier import LUMA, EmotionClassifier

# Opset in which torch exports; the file gets the lowest in which it is valid, see `finalize`.
_EXPORT_OPSET = 18
# Initializers of the graph that resize; their products are no layers of the network.
INTERPOLATIONS = frozenset({"interpolation", "map_interpolation"})
# With a batch of one, the exporter would treat the batch size as constant.
_EXAMPLE_BATCH = 2


class Ensemble(nn.Module):
    """An ensemble of classifiers with one label space; their probabilities are averaged.

    Args:
        members: Classifiers in evaluation mode.

    Shape: as for each member. The logits are the logarithms of the mean probabilities.
    """

    def __init__(self, members: Sequence[EmotionClassifier]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(B, num_classes)``."""
        # A sum, because OpenCV 4's dnn computes the mean of a stack over its images too.
        first, *others = [member(images).softmax(1) for member in self.members]
        probs = sum(others, first) / len(self.members)
        return probs.clamp_min(torch.finfo(torch.float32).tiny).log()


class FlipAverage(Ensemble):
    """Classifiers whose probabilities are averaged over an image and its mirror image.

    Test-time augmentation inside the graph: twice the time. Both views are one batch, so that int8 quantises
    each layer once.

    Args:
        members: One or more classifiers in evaluation mode.

    Shape: as for each member. The logits are the logarithms of the mean probabilities.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(B, num_classes)``."""
        logits = super().forward(torch.cat([images, images.flip(3)]))
        views = logits.softmax(1).unflatten(0, (2, -1))
        return ((views[0] + views[1]) / 2).clamp_min(torch.finfo(torch.float32).tiny).log()


Network = EmotionClassifier | Ensemble


def combined_model(runs: Sequence[TrainedRun], tta: str | None = None) -> Network:
    """Return the model of a run, or the ensemble of several; with ``tta="flip"`` the average over flips."""
    members = [run.checkpoint.model for run in runs]
    if tta is not None:
        return FlipAverage(members)
    return members[0] if len(runs) == 1 else Ensemble(members)


class ExportModel(nn.Module):
    """A trained classifier with its preprocessing and calibration.

    Args:
        model: A classifier or ensemble in evaluation mode, on the CPU.
        gray: Whether the model was trained on grayscale images. Colour is then converted as in OpenCV (ITU-R
            BT.601, rounded), so that a gray value repeated three times is unchanged.
        temperature: Divisor of the logits.
        image_size: Side S of the input images in pixels, the size at which the data set is stored.
        network_size: Side to which training resizes images for the network; None: `image_size`. The graph
            resizes too, because a face cropped at 96 px has details that one upscaled from 48 px lacks.

    Shape: uint8 ``(N, S, S, 3)`` RGB in. Out: probabilities ``(N, K)`` and, if the model has spatial
        attention, the attention map over the image, ``(N, S, S)`` in [0, 1]. Ensembles give no map.
    """

    luma: Tensor
    interpolation: Tensor
    map_interpolation: Tensor

    def __init__(
        self,
        model: Network,
        gray: bool,
        temperature: float,
        image_size: int,
        network_size: int | None = None,
    ) -> None:
        super().__init__()
        self.model, self.gray = reorder_pooling(model), gray
        self.temperature, self.image_size = temperature, image_size
        self.network_size = network_size or image_size
        self.register_buffer("luma", torch.tensor(LUMA).view(1, 3, 1, 1))
        self.register_buffer("interpolation", interpolation_matrix(image_size, self.network_size))
        if not isinstance(model, Ensemble) and attention_mask(model) is not None:
            self.register_buffer("map_interpolation", interpolation_matrix(*self._map_sides(model)))

    def _map_sides(self, model: EmotionClassifier) -> tuple[int, int]:
        """Return the sides of the feature map, in cells, and of the part of the image that it covers."""
        images = torch.zeros(1, 1 if self.gray else 3, self.network_size, self.network_size)
        with torch.no_grad():
            cells = model.backbone.forward_features(model.preprocess(images)).shape[-1]
        return cells, self.image_size - 2 * round(model.backbone.margin * self.image_size)

    def forward(self, faces: Tensor) -> tuple[Tensor, ...]:
        """Return the probabilities and, for a model with spatial attention, the attention map."""
        logits, *attention = self._logits_and_attention(self.resize(self.to_images(faces)))
        return torch.softmax(logits / self.temperature, dim=1), *attention

    def to_images(self, faces: Tensor) -> Tensor:
        """Return faces as float images ``(N, C, S, S)`` in [0, 1], with the channels of the training."""
        pixels = faces.permute(0, 3, 1, 2).to(torch.float32)
        if self.gray:
            pixels = (pixels * self.luma).sum(dim=1, keepdim=True).round()
        return pixels / 255

    def resize(self, pixels: Tensor) -> Tensor:
        """Return the images at the size of the network, as `fer.data.augment.resize` does."""
        if self.image_size in (self.network_size, 2 * self.network_size):
            return resize(pixels, self.network_size)
        return interpolate(pixels, self.interpolation).clamp(0, 1)

    def _logits_and_attention(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the logits and the attention map, if the model has one; the backbone runs once for both."""
        model, mask = self.model, attention_mask(self.model)
        if mask is None or isinstance(model, Ensemble):
            return (model(images),)
        features = model.backbone.forward_features(model.preprocess(images))
        logits = model.forward_head(model.attention(features))
        # As in EmotionClassifier.upsample_map.
        border = round(model.backbone.margin * self.image_size)
        inner = interpolate(mask(features), self.map_interpolation)
        return logits, functional.pad(inner, (border, border, border, border)).squeeze(1)


def interpolation_matrix(side: int, size: int) -> Tensor:
    """Return the weights of torch's bilinear interpolation of one axis from ``side`` to ``size`` pixels.

    An exported ``Resize`` is not portable: OpenVINO and OpenCV 5 ignore its antialiasing, without a message,
    and OpenCV 4 reads none with sizes that are computed in the graph, as the exporter writes them.

    Returns:
        float32 ``(side, size)``; antialiased if it shrinks.
    """
    identity = torch.eye(side)[None, None]
    return functional.interpolate(identity, (side, size), mode="bilinear", antialias=size < side)[0, 0]


def interpolate(pixels: Tensor, weights: Tensor) -> Tensor:
    """Resize square images ``(..., side, side)`` to ``(..., size, size)`` by an `interpolation_matrix`."""
    # OpenCV 4 reads products with a constant on the right only.
    return ((pixels @ weights).transpose(-1, -2) @ weights).transpose(-1, -2)


def attention_mask(model: Network) -> Any | None:
    """Return the function from a feature map to its mask ``(N, 1, h, w)``; None without spatial attention."""
    if isinstance(model, Ensemble):
        return None
    return getattr(model.attention, "mask", None) or getattr(model.pool, "mask", None)


def reorder_pooling(model: Network) -> Network:
    """Return a copy with batch norm and ReLU before max pooling, wherever that gives the same output.

    The order does not matter if no scale of the norm is negative: the norm is then monotonic in each channel.
    The norm can be fused into the preceding convolution, and int8 needs no conversion to fp32 in between. The
    original order is faster in training, where norms cannot be fused.
    """
    model = copy.deepcopy(model)
    for layers in [module for module in model.modules() if isinstance(module, nn.Sequential)]:
        for index in range(len(layers) - 3):
            conv, pool, norm, relu = layers[index : index + 4]
            kinds = (nn.Conv2d, nn.MaxPool2d, nn.BatchNorm2d, nn.ReLU)
            matches = all(map(isinstance, (conv, pool, norm, relu), kinds))
            if matches and bool((norm.get_parameter("weight") >= 0).all()):
                layers[index + 1], layers[index + 2], layers[index + 3] = norm, relu, pool
    return model


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
        for name, value in _image_properties(other).items():
            if value != (expected := _image_properties(first)[name]):
                raise FerError(
                    f"{other.path}: expected the same {name} as {first.path} ({expected}), got {value}. All "
                    "models of an ensemble get the same images."
                )
        if not _same_validation(first, other):
            raise FerError(
                f"{other.path}: expected a model with the same validation images as {first.path}: the "
                "ensemble is calibrated and evaluated on them. Train both on the same data set with the same "
                "options."
            )


def _image_properties(run: TrainedRun) -> dict[str, int]:
    """Return the properties of a run's images that all members of an ensemble share."""
    return {
        "image size": run.config.model.image_size,
        "number of channels": int(run.checkpoint.manifest["image_shape"][2]),
    }


def _same_validation(first: TrainedRun, other: TrainedRun) -> bool:
    """Return whether both runs have validation images with the same hashes."""
    first_part, other_part = (run.checkpoint.manifest["splits"].get("val", {}) for run in (first, other))
    kinds = [kind for kind in ("pixels_sha256", "files_sha256") if kind in first_part and kind in other_part]
    return bool(kinds) and all(first_part[kind] == other_part[kind] for kind in kinds)


def write_onnx(network: ExportModel, path: Path, about: Mapping[str, str], opset: int | None = None) -> None:
    """Write a network as ONNX with a dynamic batch size.

    Args:
        network: The network in evaluation mode.
        path: File to write.
        about: Metadata of the file; see `metadata`.
        opset: Opset of the file; None: the lowest in which it is valid.

    Raises:
        FerError: The network cannot be written in this opset.
    """
    side = network.image_size
    faces = torch.zeros(_EXAMPLE_BATCH, side, side, 3, dtype=torch.uint8)
    outputs = [PROBABILITIES] if attention_mask(network.model) is None else [PROBABILITIES, ATTENTION]
    write_graph(network, faces, path, about, (FACES, *outputs), opset=opset)


def write_graph(
    network: nn.Module,
    example: Tensor,
    path: Path,
    about: Mapping[str, str],
    names: Sequence[str],
    opset: int | None = None,
    batch: int | None = None,
) -> None:
    """Write a module as ONNX.

    Args:
        network: The module in evaluation mode.
        example: An input; its batch size is that of the file if that is fixed, and more than 1 otherwise.
        path: File to write.
        about: Metadata of the file; see `metadata`.
        names: Names of the input and of the outputs.
        opset: Opset of the file; None: the lowest in which it is valid.
        batch: Fixed batch size; None: any.

    Raises:
        FerError: The module cannot be written in this opset.
    """
    shapes = None if batch else ({0: torch.export.Dim("N")},)
    with warnings.catch_warnings(), torch.no_grad():
        # torch warns about its internals.
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            network.eval(), (example,), input_names=list(names[:1]), output_names=list(names[1:]),
            opset_version=max(_EXPORT_OPSET, opset or 0), dynamo=True, dynamic_shapes=shapes, verbose=False,
        )  # fmt: skip
        assert program is not None
        program.save(str(path), external_data=False)
    finalize(path, about, opset)


def metadata(name: str, labels: LabelSpace, schema_version: int) -> dict[str, str]:
    """Return the metadata of an ONNX file; ``labels`` is a JSON list in the order of the probabilities."""
    return {
        "name": name,
        "labels": json.dumps(list(labels.names), ensure_ascii=False),
        "schema_version": str(schema_version),
    }


def finalize(path: Path, about: Mapping[str, str], opset: int | None = None) -> None:
    """Make a file readable by many runtimes, and replace its metadata.

    What the exporter adds about this machine is removed: paths and stack traces.

    Args:
        path: ONNX file, rewritten in place.
        about: Metadata of the file; see `metadata`.
        opset: Opset of the file; None: the lowest in which it is valid.

    Raises:
        FerError: The model is not valid in this opset.
    """
    model = make_compatible(onnx.load(path), opset)
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer,
                 *model.graph.input, *model.graph.output, *model.functions):  # fmt: skip
        del part.metadata_props[:]
        part.doc_string = ""
    onnx.helper.set_model_props(model, dict(about))
    onnx.save(model, path)
