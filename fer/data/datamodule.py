"""The Lightning data module: batches of a dataset in memory or on disk, resized and augmented."""

import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from fer.core.config import Part
from fer.core.errors import FerError
from fer.core.labels import LabelSpace
from fer.data.augment import BatchAugmentation, to_float
from fer.data.config import AugmentationConfig, BatchConfig, DataConfig
from fer.data.dataset import EmotionData
from fer.data.duplicates import check_duplicates
from fer.data.loaders import (
    BatchSampler,
    augmented_views,
    channels_first,
    checked_images,
    file_backed_loader,
    resident_loader,
    seeded_generator,
)
from fer.data.readers.factory import read_dataset
from fer.data.sketch import split_sketches
from fer.data.splits import hide_test_labels, indices, manifest


class RunData(NamedTuple):
    """A data set with its duplicates and manifest, which take seconds to compute.

    Attributes:
        dataset: Images, labels and splits.
        duplicates: As `fer.data.duplicates.duplicate_report` returns it; None if not searched for.
        manifest: As `fer.data.splits.manifest` returns it.
        sketches: As `fer.data.sketch.split_sketches` returns it.
    """

    dataset: EmotionData
    duplicates: dict[str, Any] | None
    manifest: dict[str, Any]
    sketches: dict[str, list[str]] = {}  # noqa: RUF012 - never changed


def read_data(config: DataConfig) -> RunData:
    """Read the data set of a config, and search it for duplicates.

    Raises:
        FerError: The data cannot be read.
    """
    complete = read_dataset(config)
    dataset, duplicates = check_duplicates(complete, config.drop_leaks)
    return RunData(dataset, duplicates, manifest(dataset, full_data=complete), split_sketches(dataset))


class EmotionDataModule(pl.LightningDataModule):
    """Training and validation batches of a dataset.

    A dataset in memory is moved to the device as ``uint8`` tensors, and a batch is an index into them. Image
    files on disk (`fer.data.image_files.ImageFiles`) are decoded and augmented by workers instead.

    Args:
        data: The data set: its name with its options, such as ``"fer2013", path=…``; its config; what
            `read_data` returned for it; or images and labels as arrays. The labels of its test split are
            hidden from the start.
        image_size: Side of the model input, in pixels.
        augmentation: Augmentation of training batches: its config, its plain values, or its name (``light``).
        progressive: ``[[fraction, size], …]`` in any order: from this fraction of the training on, train at
            this side in pixels. It is counted in epochs, or in steps if ``max_steps`` ends the training
            before ``max_epochs``. Empty trains at ``image_size`` throughout. Validation is always at
            ``image_size``.
        seed: Seed of the order and the augmentation.
        oversample: Sample the training images with replacement, each emotion equally often.
        config: Config of the data set, if ``data`` is what `read_data` returned: sizes of batches, and
            processes that decode image files on disk.
        options: Options of the data set named by ``data``, as in ``conf/datamodule``: ``path``,
            ``batch_size``, …; for arrays those of `BatchConfig`.

    Attributes:
        data: The dataset.
        manifest: Counts and hashes of its splits.
        duplicates: Duplicates in it, as `fer.data.duplicates.duplicate_report` returns them, or None.
        sketches: Sketches of its splits, as `fer.data.sketch.split_sketches` returns them.

    Batches are ``{"image": float32 (B, C, S, S) in [0, 1], "target": int64 (B,), "index": int64 (B,)}``; the
    index is the row of the image in the dataset. Data with votes adds ``"votes": float32 (B, K)``.

    Raises:
        FerError: The data cannot be read, a split is missing, or the training split is smaller than a batch.

    Example:
        >>> dm = EmotionDataModule("synthetic", num_train=140, num_val=70, num_test=70)
        >>> dm.labels.names
        ('angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral')
    """

    def __init__(
        self,
        data: str | DataConfig | RunData | EmotionData,
        image_size: int = 48,
        augmentation: Part = "none",
        progressive: Sequence[Sequence[float]] = (),
        seed: int = 0,
        oversample: bool = False,
        config: DataConfig | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        if isinstance(data, str):
            data = DataConfig.create({"name": data, **options}, image_size)
        if isinstance(data, DataConfig):
            config, data = data, read_data(data)
        if isinstance(data, EmotionData):
            data = RunData(data, None, manifest(data))
        batches = config or BatchConfig.from_dict(options)
        self.config, self.manifest, self.duplicates = config, data.manifest, data.duplicates
        self.sketches = data.sketches
        self.data = hide_test_labels(data.dataset)
        self.rows = {role: indices(self.data, role) for role in ("train", "val")}
        self.batch_size, self.eval_batch_size = batches.batch_size, batches.eval_batch_size
        self.image_size = image_size
        self.augment = BatchAugmentation(AugmentationConfig.of(augmentation))
        self.progressive = sorted((start, int(size)) for start, size in progressive)
        self.seed, self.oversample = seed, oversample
        self.workers = getattr(batches, "workers", 0)
        self._device_splits: dict[str, dict[str, Tensor]] = {}
        self._generator: tuple[int, torch.Generator] | None = None
        self._first_epoch = 0
        if self.batch_size > len(self.rows["train"]):
            raise FerError(
                f"datamodule.batch_size={self.batch_size} is larger than the training split "
                f"({len(self.rows['train'])} images). Choose a smaller batch size."
            )

    @property
    def labels(self) -> LabelSpace:
        """Return the label space of the dataset."""
        return self.data.labels

    @property
    def image_channels(self) -> int:
        """Return 1 for gray images, 3 for RGB."""
        return self.data.images.shape[-1]

    @property
    def train_counts(self) -> list[int]:
        """Return the number of training images of each emotion, ``(K,)``."""
        counts = np.bincount(self.data.targets[self.rows["train"]], minlength=len(self.data.labels))
        return counts.tolist()

    @property
    def label_given_vote(self) -> list[list[float]] | None:
        """Return P(label | vote) over the training images, ``(K, K)``, one row per voted emotion.

        None for data without votes. Rows sum to 1. An emotion without votes gets the label of the same name.
        """
        if self.data.votes is None:
            return None
        rows, identity = self.rows["train"], np.eye(len(self.data.labels))
        pairs = self.data.votes[rows].T @ identity[self.data.targets[rows]]
        totals = pairs.sum(1, keepdims=True)
        return np.where(totals > 0, pairs / np.maximum(totals, 1e-9), identity).tolist()

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Return a loader of shuffled batches."""
        weights = self._sample_weights() if self.oversample else None
        rows = self.rows["train"]
        sampler = BatchSampler(len(rows), self.batch_size, True, self.seed, self._shard(), weights)
        if not len(sampler):
            raise FerError(
                f"datamodule.batch_size: expected at most {len(rows)} images in a batch of all processes, "
                f"got {sampler.processes} x {self.batch_size}. Choose a smaller batch size."
            )
        sampler.set_epoch(self._first_epoch)
        return self._loader("train", sampler)

    def state_dict(self) -> dict[str, Any]:
        """Return the state to store in a checkpoint at the end of an epoch: the next epoch."""
        assert self.trainer is not None
        return {"next_epoch": self.trainer.current_epoch + 1}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the next epoch; workers fetch the first batches before Lightning sets it on the sampler."""
        self._first_epoch = state_dict["next_epoch"]

    def val_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Return a loader of batches in order."""
        rows = self.rows["val"]
        sampler = BatchSampler(len(rows), self.eval_batch_size, shuffle=False, shard=self._shard())
        return self._loader("val", sampler)

    def _loader(self, role: str, sampler: BatchSampler) -> DataLoader[dict[str, Tensor]]:
        """Return a loader of indices, or of decoded images if they are on disk."""
        images = self.data.images
        if isinstance(images, np.ndarray):
            return resident_loader(sampler)
        augmentation = self.augment.config if role == "train" else AugmentationConfig()
        return file_backed_loader(images, self.rows[role], sampler, augmentation, self.seed, self.workers)

    def on_after_batch_transfer(self, batch: dict[str, Tensor], dataloader_idx: int) -> dict[str, Tensor]:
        """Return images and targets for the indices of a batch, on the device."""
        assert self.trainer is not None
        training = bool(self.trainer.training)
        split = self.split_tensors("train" if training else "val", batch["index"].device)
        size = self.train_image_size() if training else self.image_size
        if not isinstance(self.data.images, np.ndarray):
            # In distributed training the other processes wait for the gradient of an empty batch.
            allow_empty = not training or self.trainer.world_size == 1
            image = checked_images(self.data.images, batch, size, allow_empty)
        elif training:
            images = split["image"][batch["index"]]
            image = self.augment(images, size, self._epoch_generator(images.device))
        else:
            image = to_float(split["image"][batch["index"]], size)
        labels = {name: split[name][batch["index"]] for name in split.keys() & {"target", "votes"}}
        return {"image": image, **labels, "index": split["row"][batch["index"]]}

    def train_image_size(self) -> int:
        """Return the side of the training images at this step, in pixels."""
        assert self.trainer is not None
        progress = _training_progress(self.trainer) if self.progressive else 0.0
        sizes = [size for start, size in self.progressive if start <= progress + 1e-9]
        return sizes[-1] if sizes else self.image_size

    def augmented_examples(self, num_faces: int = 6, num_views: int = 7) -> np.ndarray:
        """Return some training faces, each with augmented views, for display.

        Returns:
            float32 ``(num_faces * (1 + num_views), S, S, C)`` in [0, 1]: each face, then its views.
        """
        rows = self.rows["train"][np.linspace(0, len(self.rows["train"]) - 1, num_faces).astype(int)]
        if isinstance(self.data.images, np.ndarray):
            images = channels_first(self.data.images[rows])
            views = self.augment(
                images.repeat_interleave(num_views, 0),
                self.image_size,
                seeded_generator("example", self.seed, 0),
            )
        else:
            images, augmented = augmented_views(
                self.data.images, rows, self.augment.config, num_views, self.seed
            )
            views = to_float(augmented, self.image_size)
        views = views.unflatten(0, (-1, num_views))
        originals = to_float(images, self.image_size)[:, None]
        return torch.cat([originals, views], 1).flatten(0, 1).permute(0, 2, 3, 1).numpy()

    def split_tensors(self, role: str, device: torch.device) -> dict[str, Tensor]:
        """Return a split as tensors on the device; they are copied once and kept there.

        Returns:
            ``target`` int64 ``(N,)`` and ``row`` int64 ``(N,)``, the row in the dataset; ``image`` uint8
            ``(N, C, H, W)`` for a dataset in memory; ``votes`` float32 ``(N, K)`` for data with votes.
        """
        if role not in self._device_splits or self._device_splits[role]["row"].device != device:
            rows = self.rows[role]
            split = {
                "target": torch.from_numpy(self.data.targets[rows].copy()),
                "row": torch.from_numpy(rows.astype(np.int64)),
            }
            if isinstance(self.data.images, np.ndarray):
                split["image"] = _rows_as_tensor(self.data.images, rows)
            if self.data.votes is not None:
                split["votes"] = torch.from_numpy(self.data.votes[rows])
            self._device_splits[role] = {name: tensor.to(device) for name, tensor in split.items()}
        return self._device_splits[role]

    def _epoch_generator(self, device: torch.device) -> torch.Generator:
        assert self.trainer is not None
        epoch = self.trainer.current_epoch
        if self._generator is None or self._generator[0] != epoch:
            rank, _ = self._shard()
            self._generator = (epoch, seeded_generator(f"augment, process {rank}", self.seed, epoch, device))
        return self._generator[1]

    def _sample_weights(self) -> Tensor:
        """Return for each training image the inverse of the size of its class, ``(N,)``."""
        targets = torch.from_numpy(self.data.targets[self.rows["train"]])
        return 1.0 / torch.tensor(self.train_counts, dtype=torch.float64)[targets]

    def _shard(self) -> tuple[int, int]:
        """Return the rank of this process and the number of processes."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)


def planned_epochs(trainer: pl.Trainer) -> float:
    """Return the length of a training in epochs: ``max_epochs``, or less with ``max_steps``.

    A fraction if ``max_steps`` ends within an epoch, and infinity if neither is set.
    """
    epochs = math.inf if trainer.max_epochs in (None, -1) else max(1, trainer.max_epochs or 1)
    if trainer.max_steps < 0:
        return epochs
    return min(
        epochs, trainer.max_steps / math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
    )


def _training_progress(trainer: pl.Trainer) -> float:
    """Return the fraction of a training that is done, in [0, 1)."""
    epochs = planned_epochs(trainer)
    if epochs == trainer.max_epochs or epochs == math.inf:
        return trainer.current_epoch / epochs
    return trainer.global_step / trainer.max_steps


def _rows_as_tensor(images: np.ndarray, rows: np.ndarray) -> Tensor:
    """Return uint8 ``(n, C, H, W)``; a view if the rows are contiguous.

    All processes of a machine then share the memory of a mapped file.
    """
    if rows[-1] - rows[0] + 1 != len(rows):
        return channels_first(images[rows])
    with warnings.catch_warnings():
        # Torch warns that the memory map is read-only; nothing writes to it.
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(images[rows[0] : rows[-1] + 1]).permute(0, 3, 1, 2)
