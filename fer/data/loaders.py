"""Which images are in each batch, in which order, and the loader of image files on disk.

Their images are decoded and augmented by worker processes. A dataset in memory needs none
(`fer.data.resident`).
"""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.distributed import DistributedSampler

from fer.data.augment import to_float
from fer.data.augment_config import AugmentationConfig
from fer.data.image_augment import augment_image
from fer.data.image_files import ImageFiles

# Epoch, number of the batch in the epoch, indices int64 (B,). Workers outlive an epoch and do not know it.
BatchKey = tuple[int, int, Tensor]
Fill = Callable[[dict[str, Tensor], torch.Generator], dict[str, Tensor]]


class BatchSampler(DistributedSampler[BatchKey]):
    """Yield epoch, number in the epoch, and indices int64 ``(B,)`` of each batch.

    A ``DistributedSampler`` by type only, so that Lightning leaves it to this sampler to divide the batches
    among processes.

    The order of an epoch depends only on seed and epoch, so that a resumed run continues with the same
    batches.

    Args:
        num_samples: Size of the split.
        batch_size: Size of a batch.
        shuffle: Use a new order in each epoch and drop the last, incomplete batch, because batch norm cannot
            train on a batch of one. Otherwise yield all samples in order.
        seed: Seed of the order.
        shard: Rank of this process and number of processes, e.g. ``(0, 2)``. Each process gets the same
            number of batches and different images. Without ``shuffle`` each image goes to exactly one
            process.
        weights: With ``shuffle``, sample with replacement in proportion to these weights, ``(N,)``; an epoch
            still has ``num_samples`` samples.
    """

    def __init__(
        self,
        num_samples: int,
        batch_size: int,
        shuffle: bool,
        seed: int = 0,
        shard: tuple[int, int] = (0, 1),
        weights: Tensor | None = None,
    ) -> None:
        """Store the options; ``DistributedSampler.__init__`` would ask for the processes."""
        self.weights = weights
        self.num_samples, self.batch_size, self.shuffle, self.seed = num_samples, batch_size, shuffle, seed
        self.rank, self.processes = shard
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that determines the order; Lightning calls this at the start of each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the number of batches of this process."""
        full, rest = divmod(self.num_samples, self.batch_size * self.processes)
        return full if self.shuffle else full + bool(rest)

    def __iter__(self) -> Iterator[BatchKey]:
        """Yield the batches of the epoch."""
        order = self._order()
        total = len(self) * self.processes
        batches = order.split(self.batch_size)
        if not self.shuffle and self.processes > 1:
            # The same number of batches for each process; sizes differ by at most one.
            batches = order.tensor_split(total)
        for number, batch in enumerate(batches[self.rank : total : self.processes]):
            yield self.epoch, number, batch

    def _order(self) -> Tensor:
        """Return the indices of an epoch over all processes, int64 ``(N,)``."""
        if not self.shuffle:
            return torch.arange(self.num_samples)
        generator = seeded_generator("order", self.seed, self.epoch)
        if self.weights is None:
            return torch.randperm(self.num_samples, generator=generator)
        return torch.multinomial(self.weights, self.num_samples, replacement=True, generator=generator)


def seeded_generator(
    purpose: str, seed: int, epoch: int, device: torch.device | str = "cpu"
) -> torch.Generator:
    """Return a generator whose stream depends only on purpose, seed and epoch."""
    digest = hashlib.sha256(f"{purpose} {seed} {epoch}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8]) >> 1)


class Batches(Dataset[dict[str, Tensor]]):
    """The images of a split, of which a key takes a whole batch.

    Its length is the number of images, which Lightning's ``scale_batch_size`` reads. An integer key gives
    that batch of the dataset in order, as ``trainer.overfit_batches`` requests it.
    """

    def __init__(self, num_samples: int, batch_size: int) -> None:
        self.num_samples = num_samples
        self.in_order = torch.arange(num_samples).split(batch_size)

    def __len__(self) -> int:
        """Return the number of images."""
        return self.num_samples

    def resolve(self, key: BatchKey | int) -> BatchKey:
        """Return epoch, number of the batch, and indices int64 ``(B,)``."""
        return (0, key, self.in_order[key % len(self.in_order)]) if isinstance(key, int) else key


class BatchLoader(DataLoader[dict[str, Tensor]]):
    """A `DataLoader` over `Batches`, whose length is the number of batches with any sampler.

    Args:
        dataset: The images.
        fill: Function of a batch and a random generator that completes the batch, for use without Lightning's
            Trainer: each pass is then the next epoch of the sampler. None yields batches as they are.
        seed: Seed of that generator.
        options: As for ``DataLoader``.
    """

    dataset: Batches

    def __init__(self, dataset: Batches, fill: Fill | None = None, seed: int = 0, **options: Any) -> None:
        super().__init__(dataset, **options)
        self.fill, self.seed = fill, seed

    def __len__(self) -> int:
        """Return the number of batches."""
        return min(super().__len__(), len(self.dataset.in_order))

    def __iter__(self) -> Any:
        """Return an iterator over the batches."""
        if self.fill is None:
            return super().__iter__()
        return self._filled(self.fill)

    def _filled(self, fill: Fill) -> Iterator[dict[str, Tensor]]:
        epoch = getattr(self.sampler, "epoch", 0)
        generator = seeded_generator("augment, process 0", self.seed, epoch)
        for batch in super().__iter__():
            yield fill(batch, generator)
        if isinstance(self.sampler, BatchSampler):
            self.sampler.set_epoch(epoch + 1)


def file_backed_loader(
    images: ImageFiles,
    rows: np.ndarray,
    sampler: BatchSampler,
    augmentation: AugmentationConfig,
    seed: int,
    workers: int,
    fill: Fill | None = None,
) -> BatchLoader:
    """Return a loader of decoded and augmented batches.

    Random numbers depend on the seed, the epoch and the position in the epoch, not on the workers. An
    unreadable image is missing from its batch.

    Args:
        images: The image files.
        rows: Rows of ``images`` in the split, int64 ``(N,)``.
        sampler: Yields the positions in ``rows`` of each batch.
        augmentation: Augmentation of each image; a default `AugmentationConfig` for none.
        seed: Seed of the augmentation.
        workers: Number of processes that decode; 0 decodes in the current process.
        fill: As for `BatchLoader`.

    Returns:
        Loader of ``{"index": int64 (B,), "image": uint8 (B, C, S, S), "unreadable": int64 (b,)}``: positions
        in ``rows``, their images, and the rows of ``images`` that could not be read.
    """
    return BatchLoader(
        _ImageBatches(images, rows, sampler.batch_size, augmentation, seed),
        batch_size=None,
        sampler=sampler,
        num_workers=workers,
        worker_init_fn=_disable_opencv_threads,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available() and fill is None,
        fill=fill,
        seed=seed,
    )


def _disable_opencv_threads(worker: int) -> None:
    # The workers already use all processors, and OpenCV's threads do not survive a fork.
    cv2.setNumThreads(0)


class _ImageBatches(Batches):
    """Decode and augment a batch."""

    def __init__(
        self,
        images: ImageFiles,
        rows: np.ndarray,
        batch_size: int,
        augmentation: AugmentationConfig,
        seed: int,
    ) -> None:
        super().__init__(len(rows), batch_size)
        self.images, self.rows, self.augmentation, self.seed = images, rows, augmentation, seed

    def __getitem__(self, key: BatchKey | int) -> dict[str, Tensor]:
        epoch, number, indices = self.resolve(key)
        rows = self.rows[indices.numpy()]
        images, readable = self.images.read(rows)
        for i, row in enumerate(rows[readable]):
            seed = f"augment {self.seed} {epoch} {number} {i} {row}"
            images[i] = augment_image(images[i], self.augmentation, seed)
        return {
            "index": indices[torch.from_numpy(readable)],
            "image": channels_first(images),
            "unreadable": torch.from_numpy(rows[~readable]),
        }


def checked_images(images: ImageFiles, batch: dict[str, Tensor], size: int, allow_empty: bool) -> Tensor:
    """Return the images of a batch as float32 ``(B, C, size, size)`` in [0, 1].

    Args:
        images: The image files, for messages.
        batch: A batch of `file_backed_loader`.
        size: Side of the result, in pixels.
        allow_empty: Accept a batch in which no image could be read.

    Raises:
        FerError: An image could not be read and must not be skipped, or none could be read and
            ``allow_empty`` is false.
    """
    is_empty = not len(batch["index"])
    if len(batch["unreadable"]):
        images.report_unreadable(batch["unreadable"].cpu().numpy(), nothing_left=is_empty and not allow_empty)
    return batch["image"].new_empty(0, dtype=torch.float32) if is_empty else to_float(batch["image"], size)


def augmented_views(
    images: ImageFiles, rows: np.ndarray, augmentation: AugmentationConfig, num_views: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Return images, and augmented views of each as training uses them.

    Args:
        images: The image files.
        rows: Rows to return, int64 ``(n,)``; unreadable ones are skipped.
        augmentation: How strongly to augment.
        num_views: Views of each image.
        seed: Seed of the augmentation.

    Returns:
        uint8 ``(m, C, S, S)`` and ``(m * num_views, C, S, S)``, the views of the first image first.

    Raises:
        FerError: An image could not be read and must not be skipped, or none could be read.
    """
    originals, readable = images.read(rows)
    if not readable.all():
        images.report_unreadable(rows[~readable], nothing_left=not readable.any())
    views = [
        augment_image(image, augmentation, f"example {seed} {i} {view}")
        for i, image in enumerate(originals)
        for view in range(num_views)
    ]
    return channels_first(originals), channels_first(np.stack(views))


def channels_first(images: np.ndarray) -> Tensor:
    """Return images ``(N, H, W, C)`` as a contiguous tensor ``(N, C, H, W)``."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).contiguous()
