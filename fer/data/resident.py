"""A dataset in memory: one tensor per split on the device, and a loader of indices into it."""

import warnings

import numpy as np
import torch
from torch import Tensor

from fer.data.augment import BatchAugmentation, to_float
from fer.data.dataset import EmotionData
from fer.data.loaders import Batches, BatchKey, BatchLoader, BatchSampler, Fill, channels_first


def resident_loader(sampler: BatchSampler, fill: Fill | None = None) -> BatchLoader:
    """Return a loader of ``{"index": int64 (B,)}``; it needs no workers, because there is nothing to load.

    Args:
        sampler: Yields the positions of each batch in the split.
        fill: As for `BatchLoader`.
    """
    batches = _IndexBatches(sampler.num_samples, sampler.batch_size)
    return BatchLoader(batches, batch_size=None, sampler=sampler, fill=fill, seed=sampler.seed)


class _IndexBatches(Batches):
    """Return the indices of a batch unchanged; the pixels are already on the device."""

    def __getitem__(self, key: BatchKey | int) -> dict[str, Tensor]:
        return {"index": self.resolve(key)[2]}


class DeviceSplits:
    """The splits of a dataset as tensors on a device; each is copied once and kept there."""

    def __init__(self) -> None:
        self._splits: dict[str, dict[str, Tensor]] = {}

    def get(self, role: str, data: EmotionData, rows: np.ndarray, device: torch.device) -> dict[str, Tensor]:
        """Return the images of a role.

        Args:
            role: Name under which they are kept.
            data: The dataset.
            rows: Their rows in it, int ``(N,)``.
            device: Where the tensors are needed.

        Returns:
            ``target`` int64 ``(N,)`` and ``row`` int64 ``(N,)``, the row in the dataset; ``image`` uint8
            ``(N, C, H, W)`` for a dataset in memory; ``votes`` float32 ``(N, K)`` for data with votes;
            ``landmarks`` float32 ``(N, 5, 2)`` for data with landmarks.
        """
        if role not in self._splits or self._splits[role]["row"].device != device:
            split = {
                "target": torch.from_numpy(data.targets[rows].copy()),
                "row": torch.from_numpy(rows.astype(np.int64)),
            }
            if isinstance(data.images, np.ndarray):
                split["image"] = _rows_as_tensor(data.images, rows)
            if data.votes is not None:
                split["votes"] = torch.from_numpy(data.votes[rows])
            if data.source_numbers is not None:
                split["source"] = torch.from_numpy(data.source_numbers[rows].astype(np.int64))
            if data.landmarks is not None:
                split["landmarks"] = torch.from_numpy(data.landmarks[rows])
            self._splits[role] = {name: tensor.to(device) for name, tensor in split.items()}
        return self._splits[role]


def resident_images(
    split: dict[str, Tensor],
    index: Tensor,
    size: int,
    augment: BatchAugmentation,
    generator: torch.Generator | None,
) -> dict[str, Tensor]:
    """Return ``image`` float32 ``(B, C, size, size)`` in [0, 1], augmented if there is a generator.

    Augmented images of data with landmarks also have ``landmarks`` ``(B, 5, 2)``.

    Args:
        split: As `DeviceSplits.get` returns it.
        index: Positions in the split, int64 ``(B,)``.
        size: Side of the result, in pixels.
        augment: The augmentation.
        generator: Its random numbers; None does not augment.
    """
    images = split["image"][index]
    if generator is None:
        return {"image": to_float(images, size)}
    if "landmarks" not in split:
        return {"image": augment(images, size, generator)}
    image, landmarks = augment.with_landmarks(images, split["landmarks"][index], size, generator)
    return {"image": image, "landmarks": landmarks}


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
