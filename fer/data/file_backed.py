"""Data loader for image files that stay on disk: worker processes decode and augment them."""

from collections.abc import Iterator

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from fer.data.augment import AugmentationConfig, to_float
from fer.data.loader import BatchSampler
from fer.data.picture_augment import augment_image
from fer.data.pictures import ImageFiles

# Epoch, number of the batch in the epoch, indices int64 (B,).
_BatchKey = tuple[int, int, Tensor]


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
            "image": _channels_first(images),
            "unreadable": torch.from_numpy(rows[~readable]),
        }


class _BatchKeySampler(Sampler[_BatchKey]):
    """Add epoch and batch number to each batch, because workers outlive an epoch and do not know them."""

    def __init__(self, sampler: BatchSampler) -> None:
        self.sampler = sampler

    def set_epoch(self, epoch: int) -> None:
        self.sampler.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[_BatchKey]:
        for number, indices in enumerate(self.sampler):
            yield self.sampler.epoch, number, indices


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
        sampler=_BatchKeySampler(sampler),
        num_workers=workers,
        worker_init_fn=_disable_opencv_threads,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def _disable_opencv_threads(worker: int) -> None:
    # The workers already use all processors, and OpenCV's threads do not survive a fork.
    cv2.setNumThreads(0)


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
    return _channels_first(originals), _channels_first(np.stack(views))


def _channels_first(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
