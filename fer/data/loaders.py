"""Data loaders: which images are in each batch, and in which order.

A dataset in memory is resident on the device as one tensor: the loader yields only indices
(`resident_loader`). Image files on disk are decoded and augmented by worker processes
(`file_backed_loader`).
"""

import hashlib
from collections.abc import Iterator

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from fer.data.augment import AugmentationConfig, augment_image, to_float
from fer.data.image_files import ImageFiles

# Epoch, number of the batch in the epoch, indices int64 (B,). Workers outlive an epoch and do not know it.
_BatchKey = tuple[int, int, Tensor]


class BatchSampler(Sampler[_BatchKey]):
    """Yield epoch, number in the epoch, and indices int64 ``(B,)`` of each batch.

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

    def __iter__(self) -> Iterator[_BatchKey]:
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


def resident_loader(sampler: BatchSampler) -> DataLoader[dict[str, Tensor]]:
    """Return a loader of ``{"index": int64 (B,)}``; it needs no workers, because there is nothing to load."""
    batches = _IndexBatches(sampler.num_samples, sampler.batch_size)
    return DataLoader(batches, batch_size=None, sampler=sampler)


class _IndexBatches(Dataset[dict[str, Tensor]]):
    """Return the indices of a batch unchanged; the pixels are already on the device.

    An integer key gives that batch of the dataset in order, as ``trainer.overfit_batches`` requests it.
    """

    def __init__(self, num_samples: int, batch_size: int) -> None:
        self.in_order = torch.arange(num_samples).split(batch_size)

    def __len__(self) -> int:
        return len(self.in_order)

    def __getitem__(self, key: _BatchKey | int) -> dict[str, Tensor]:
        return {"index": self.in_order[key] if isinstance(key, int) else key[2]}


def file_backed_loader(
    images: ImageFiles,
    rows: np.ndarray,
    sampler: BatchSampler,
    augmentation: AugmentationConfig,
    seed: int,
    workers: int,
) -> DataLoader[dict[str, Tensor]]:
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

    Returns:
        Loader of ``{"index": int64 (B,), "image": uint8 (B, C, S, S), "unreadable": int64 (b,)}``: positions
        in ``rows``, their images, and the rows of ``images`` that could not be read.
    """
    return DataLoader(
        _ImageBatches(images, rows, sampler.batch_size, augmentation, seed),
        batch_size=None,
        sampler=sampler,
        num_workers=workers,
        worker_init_fn=_disable_opencv_threads,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def _disable_opencv_threads(worker: int) -> None:
    # The workers already use all processors, and OpenCV's threads do not survive a fork.
    cv2.setNumThreads(0)


class _ImageBatches(Dataset[dict[str, Tensor]]):
    """Decode and augment a batch.

    An integer key gives that batch of the dataset in order, as ``trainer.overfit_batches`` requests it.
    """

    def __init__(
        self,
        images: ImageFiles,
        rows: np.ndarray,
        batch_size: int,
        augmentation: AugmentationConfig,
        seed: int,
    ) -> None:
        self.images, self.rows, self.augmentation, self.seed = images, rows, augmentation, seed
        self.in_order = torch.arange(len(rows)).split(batch_size)

    def __len__(self) -> int:
        return len(self.in_order)

    def __getitem__(self, key: _BatchKey | int) -> dict[str, Tensor]:
        epoch, number, indices = (0, key, self.in_order[key]) if isinstance(key, int) else key
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
