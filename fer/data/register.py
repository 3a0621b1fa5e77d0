"""`register_reader` and `register_augmentation`, for data sets and augmentations outside of this package."""

from collections.abc import Callable
from typing import TypeVar

from fer.core.registry import AUGMENTATIONS, READERS, Builder
from fer.core.signature import options_from
from fer.data.augment_config import AugmentationConfig
from fer.data.config import DataConfig, ImageFilesConfig

_Builder = TypeVar("_Builder", bound=Builder)


def register_reader(name: str, files: bool = False) -> Callable[[_Builder], _Builder]:
    """Register a reader: a function that returns a `fer.data.dataset.EmotionData`.

    It is called with its own options; an option ``path`` becomes absolute. `fer.data.arrays.from_arrays`
    makes the data set from arrays. Without a validation split, a tenth of train becomes one.

    Args:
        name: Its name, for ``datamodule=…``.
        files: Whether it returns a list of image files (`fer.data.image_files.ImageFiles`), which are decoded
            and cached, or decoded by workers. It then has the options of ``datamodule=folder``, of which it
            is called with those that it takes, such as ``path``, ``size`` and ``color``.

    Raises:
        FerError: The name is in use, or an option is not a plain value.
    """

    def register(build: _Builder) -> _Builder:
        entry = READERS.add(name, build, files=files)
        entry.options = options_from(build, ImageFilesConfig if files else DataConfig, name)
        return build

    return register


def register_augmentation(name: str) -> Callable[[_Builder], _Builder]:
    """Register an augmentation: a class or function that returns what changes a batch of training images.

    It is called with its own options. What it returns is called with images, float32 ``(B, C, S, S)`` in
    [0, 1] on the device of the model, and if it takes that with ``generator``, the seeded random generator on
    this device. It returns images of the same shape. It follows the augmentations of this package, whose
    strengths are options beside its own (0 unless they are set), and precedes mixing.

    Raises:
        FerError: The name is in use, or an option is not a plain value.
    """

    def register(build: _Builder) -> _Builder:
        entry = AUGMENTATIONS.add(name, build)
        entry.options = options_from(build, AugmentationConfig, name)
        return build

    return register
