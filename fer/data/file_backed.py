"""Batches of pictures that stay on disk: workers decode and augment them."""

from collections.abc import Iterator

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from fer.data.augment import Recipe, to_float
from fer.data.loader import BatchSampler
from fer.data.picture_augment import augment_picture
from fer.data.pictures import ImageFiles

_Place = tuple[int, int, Tensor]  # epoch, number of the batch in it, positions int64 (B,)


class _PictureBatches(Dataset[dict[str, Tensor]]):
    """Decode and augment a batch.

    A number asks for that batch of the set in order, which is how ``trainer.overfit_batches`` asks.
    """

    def __init__(
        self, images: ImageFiles, rows: np.ndarray, batch_size: int, recipe: Recipe, seed: int
    ) -> None:
        self.images, self.rows, self.recipe, self.seed = images, rows, recipe, seed
        self.in_order = torch.arange(len(rows)).split(batch_size)

    def __len__(self) -> int:
        return len(self.in_order)

    def __getitem__(self, place: _Place | int) -> dict[str, Tensor]:
        epoch, number, positions = (0, place, self.in_order[place]) if isinstance(place, int) else place
        rows = self.rows[positions.numpy()]
        pictures, readable = self.images.read(rows)
        for i, row in enumerate(rows[readable]):
            draw = f"augment {self.seed} {epoch} {number} {i} {row}"
            pictures[i] = augment_picture(pictures[i], self.recipe, draw)
        return {
            "index": positions[torch.from_numpy(readable)],
            "image": _channels_first(pictures),
            "unreadable": torch.from_numpy(rows[~readable]),
        }


class _PlaceSampler(Sampler[_Place]):
    """Tell workers, which live longer than an epoch, where in the training a batch stands."""

    def __init__(self, order: BatchSampler) -> None:
        self.order = order

    def set_epoch(self, epoch: int) -> None:
        self.order.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[_Place]:
        for number, positions in enumerate(self.order):
            yield self.order.epoch, number, positions


def picture_batches(
    images: ImageFiles, rows: np.ndarray, order: BatchSampler, recipe: Recipe, seed: int, workers: int
) -> DataLoader[dict[str, Tensor]]:
    """Return a loader of decoded and augmented batches.

    Random numbers depend on seed, epoch and place in it, not on the workers. A picture that cannot
    be read is missing from its batch.

    Args:
        images: The pictures.
        rows: Those of the split, int64 ``(N,)``.
        order: Which of ``rows`` each batch holds.
        recipe: Augmentation; `Recipe` of zeros for none.
        seed: Seed of the augmentation.
        workers: Processes that decode; 0 decodes in this one.

    Returns:
        Loader of ``{"index": int64 (B,), "image": uint8 (B, C, S, S), "unreadable": int64 (b,)}``: places in
        ``rows``, their pictures, and the rows of ``images`` that are missing.
    """
    return DataLoader(
        _PictureBatches(images, rows, order.batch_size, recipe, seed),
        batch_size=None,
        sampler=_PlaceSampler(order),
        num_workers=workers,
        worker_init_fn=_use_one_thread,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def _use_one_thread(worker: int) -> None:
    cv2.setNumThreads(
        0
    )  # the workers share the processors among them; OpenCV's own threads do not survive a fork


def checked_pictures(images: ImageFiles, batch: dict[str, Tensor], size: int, may_lack_all: bool) -> Tensor:
    """Return a batch's pictures as float32 ``(B, C, size, size)`` in [0, 1].

    Raises:
        FerError: Some of it could not be read, and may not be skipped; or none could, unless that is allowed.
    """
    none = not len(batch["index"])
    if len(batch["unreadable"]):
        images.give_up(batch["unreadable"].cpu().numpy(), all_of_it=none and not may_lack_all)
    return batch["image"].new_empty(0, dtype=torch.float32) if none else to_float(batch["image"], size)


def augmented_views(
    images: ImageFiles, rows: np.ndarray, recipe: Recipe, num_views: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Return pictures, and views of each as training sees them.

    Args:
        images: The pictures.
        rows: Those to show, int64 ``(n,)``; unreadable ones are left out.
        recipe: How strongly to augment.
        num_views: Views of each.
        seed: Seed of the augmentation.

    Returns:
        uint8 ``(m, C, S, S)`` and ``(m * num_views, C, S, S)``, the views of the first picture first.

    Raises:
        FerError: Some could not be read, and may not be skipped; or none could.
    """
    pictures, readable = images.read(rows)
    if not readable.all():
        images.give_up(rows[~readable], all_of_it=not readable.any())
    views = [
        augment_picture(picture, recipe, f"example {seed} {i} {view}")
        for i, picture in enumerate(pictures)
        for view in range(num_views)
    ]
    return _channels_first(pictures), _channels_first(np.stack(views))


def _channels_first(pictures: np.ndarray) -> Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous()
