"""Read the weights of an exported model (a bundle) back into a network, to train it further.

An export folds each batch norm into the convolution before it, and may store the weights as int8. Reading
reverses both, up to the rounding of int8: the network computes what the file computes.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from fer.bundle.files import Bundle
from fer.core.errors import FerError
from fer.core.labels import LabelSpace
from fer.models.classifier import EmotionClassifier

_PREFIX = "model."
_QUANTISED = "_DequantizeLinear_Output"
# A batch norm's count of batches.
_NOT_STORED = "num_batches_tracked"
# Faces, and augmented views of each, for the statistics of batch norms.
_EXAMPLES = (128, 1)


def load_bundle(
    model: EmotionClassifier,
    bundle: Bundle,
    labels: LabelSpace,
    examples: Callable[[int, int], np.ndarray],
    key: str,
) -> tuple[dict[str, Any], list[str]]:
    """Load the weights of a bundle into a network of the same architecture, in place.

    A folded batch norm gets the statistics of training images, and a scale and shift with which it changes
    nothing but adds the folded bias. So the network computes the same as the file in evaluation mode, and
    nearly the same in training mode. The head is loaded if the emotions and their order are the same.

    Args:
        model: The network.
        bundle: The exported model.
        labels: Label space of the network.
        examples: Returns training images, as `EmotionDataModule.augmented_examples`.
        key: Name of the option, for messages.

    Returns:
        The record of the weights, as in `fer.training.transfer.InitialWeights`, and lines to print.

    Raises:
        FerError: The bundle is of another architecture, or its file does not name its weights.
    """
    card, training = bundle.card, bundle.card.training
    images = torch.from_numpy(examples(*_EXAMPLES)).permute(0, 3, 1, 2)
    messages = [
        f"{key}: {card.name}, an exported model ({card.precision}, {card.labels.name}): {bundle.folder}"
    ]
    weights, state = read_weights(bundle.model_path), model.state_dict()
    if labels.names != card.labels.names:
        messages.append(f"  head: newly initialised for {labels.name}; the model is for {card.labels.name}")
        state = {name: tensor for name, tensor in state.items() if not name.startswith("head.")}
    fitting = {name for name in state if name in weights and weights[name].shape == tuple(state[name].shape)}
    with torch.no_grad():
        for name in fitting:
            state[name].copy_(torch.from_numpy(weights[name].copy()))
        fitting |= _restore_norms(model, weights, images)
    if missing := [name for name in state if name not in fitting and not name.endswith(_NOT_STORED)]:
        raise FerError(
            f"{key}={card.name}: expected weights of this network, got those of another "
            f"({card.model.get('architecture')}), or a file that does not name them: {len(missing)} of "
            f"{len(state)} tensors differ ({', '.join(missing[:3])}{', …' if len(missing) > 3 else ''}). "
            f"Use the model and model.kwargs of its training: {training.get('command', 'see its card')}"
        )
    record = {name: training.get(name) for name in ("epoch", "manifest", "init_from")}
    record |= {"path": str(bundle.folder), "data": [training["data"]] if training.get("data") else []}
    return record, messages


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """Return the weights of an ONNX file by their names in the network, float32; those of int8 are scaled.

    The bias into which a batch norm was folded is named ``CONVOLUTION.weight_bias``.
    """
    graph = onnx.load(path).graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    weights = dict(stored)
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in stored:
            axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
            values = [stored[name].astype(np.float32) for name in node.input]
            weights[node.output[0].removesuffix(_QUANTISED)] = _scaled(axis, *values)
    return {name.removeprefix(_PREFIX): array for name, array in weights.items() if name.startswith(_PREFIX)}


def _scaled(axis: int, values: np.ndarray, scale: np.ndarray, zero: np.ndarray | float = 0.0) -> np.ndarray:
    """Return the float values of integers with a scale for all of them or for each index of an axis."""
    shape = [1] * values.ndim
    shape[min(axis, values.ndim - 1)] = -1
    scaled: np.ndarray = (values - np.reshape(zero, shape)) * np.reshape(scale, shape)
    return scaled


def _restore_norms(model: nn.Module, weights: dict[str, np.ndarray], images: Tensor) -> set[str]:
    """Set the batch norms that were folded into the convolution before them; return their tensors' names.

    In one pass, each norm gets the statistics of its own input, which comes from norms that are already set.
    """
    restored: set[str] = set()
    last: list[str] = []
    hooks = []

    def after_convolution(name: str) -> None:
        last[:] = [name]

    def before_norm(name: str, norm: nn.BatchNorm2d, features: Tensor) -> None:
        bias = weights.get(f"{last[0]}.weight_bias") if last else None
        if bias is None or bias.shape != (norm.num_features,):
            return
        mean, variance = features.mean((0, 2, 3)), features.var((0, 2, 3), unbiased=False)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.copy_(torch.from_numpy(bias.copy()) + mean)
        restored.update(f"{name}.{part}" for part in ("weight", "bias", "running_mean", "running_var"))

    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_hook(lambda *_, name=name: after_convolution(name)))
        elif isinstance(module, nn.BatchNorm2d):
            hooks.append(
                module.register_forward_pre_hook(
                    lambda norm, inputs, name=name: before_norm(name, norm, inputs[0])
                )
            )
    was_training = model.training
    model.eval()(images)
    model.train(was_training)
    for hook in hooks:
        hook.remove()
    return restored
