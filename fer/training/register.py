"""`register_loss` and its like, for parts of the training that are defined outside of this package."""

from collections.abc import Callable
from typing import ClassVar, Literal, TypeVar

from fer.core.config import Config
from fer.core.registry import CALLBACKS, LOSSES, METRICS, OPTIMIZERS, SCHEDULERS, Builder
from fer.core.signature import options_from
from fer.training import metrics as metrics
from fer.training.recipe import LossConfig, RegisteredOptimizerConfig, SchedulerConfig

_Builder = TypeVar("_Builder", bound=Builder)


class CallbackOptions(Config):
    """Base of the options of a registered callback."""

    key: ClassVar[str] = "callbacks"


def register_loss(name: str) -> Callable[[_Builder], _Builder]:
    """Register a loss: a class or function that returns what computes the loss of a batch.

    It is called with its own options, and if it takes them with ``weight`` (of each emotion, a tensor
    ``(K,)`` or None, for ``imbalance=…``), ``counts`` (training images of each emotion), and
    ``label_smoothing``. What it returns is called with logits ``(B, K)`` float32 and targets, ``(B,)`` int64
    or with mixing ``(B, K)`` float, and returns a scalar. A subclass of `fer.training.losses.Loss` defines
    the loss of each class instead; with ``needs_votes`` its target is built from annotators' votes.

    Raises:
        FerError: The name is in use, or an option is not a plain value.
    """

    def register(build: _Builder) -> _Builder:
        entry = LOSSES.add(name, build)
        entry.options = options_from(build, LossConfig, name, ("weight", "counts", "label_given_vote"))
        return build

    return register


def register_optimizer(name: str) -> Callable[[_Builder], _Builder]:
    """Register an optimizer: a class or function that returns a ``torch.optim.Optimizer``.

    It is called with groups of parameters, in which norms and biases have no weight decay, and with its
    options. ``lr`` and ``weight_decay`` are options of every optimizer; defaults of its own signature count.
    If its first parameter is called ``model``, it gets the classifier instead of the groups.

    Raises:
        FerError: The name is in use, or an option is not a plain value.
    """

    def register(build: _Builder) -> _Builder:
        entry = OPTIMIZERS.add(name, build)
        entry.options = options_from(build, RegisteredOptimizerConfig, name, positional=1)
        return build

    return register


def register_scheduler(
    name: str, interval: Literal["step", "epoch"] = "step"
) -> Callable[[_Builder], _Builder]:
    """Register a learning-rate schedule: a class or function that returns an ``LRScheduler`` of torch.

    It is called with the optimizer and its own options, and if it takes them with ``total_steps`` and
    ``steps_per_epoch`` (optimizer steps). A ``ReduceLROnPlateau`` watches ``monitor``, and may take its
    ``mode``.

    Args:
        name: Its name, for ``scheduler=…``.
        interval: Whether it is stepped after each step or after each epoch.

    Raises:
        FerError: The name is in use, or an option is not a plain value.
    """

    def register(build: _Builder) -> _Builder:
        entry = SCHEDULERS.add(name, build, interval=interval)
        given = ("total_steps", "steps_per_epoch", "mode")
        entry.options = options_from(build, SchedulerConfig, name, given, positional=1)
        return build

    return register


def register_metric(name: str, mode: Literal["min", "max"]) -> Callable[[_Builder], _Builder]:
    """Register a metric of the validation, logged as ``val/NAME``.

    A class or function that returns a ``torchmetrics.Metric``, called with ``num_classes`` and ``emotions``
    (their names) if it takes them. The metric is updated with logits ``(B, K)`` and targets ``(B,)``, and
    computes a scalar. Every run in which its module is loaded logs it; ``monitor=val/NAME`` selects by it.

    Args:
        name: Its name.
        mode: Whether a lower or a higher value is better.

    Raises:
        FerError: The name is in use.
    """

    def register(build: _Builder) -> _Builder:
        METRICS.add(name, build, mode=mode)
        return build

    return register


def register_callback(name: str) -> Callable[[_Builder], _Builder]:
    """Register a callback: a class or function that returns a Lightning ``Callback``.

    It is called with its own options: ``callbacks=NAME``, or ``+callbacks.KEY={name: NAME, …}`` beside
    others.

    Raises:
        FerError: The name is in use, or an option is not a plain value.
    """

    def register(build: _Builder) -> _Builder:
        entry = CALLBACKS.add(name, build)
        entry.options = options_from(build, CallbackOptions, name)
        return build

    return register
