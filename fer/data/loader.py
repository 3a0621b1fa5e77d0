"""Data loaders: which images are in each batch, and in which order.

A dataset in memory is resident on the device as one tensor: the loader yields only indices
(`resident_loader`). Image files on disk are decoded and augmented by worker processes
(`fer.data.file_backed`).
"""

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler


class _IndexBatches(Dataset[dict[str, Tensor]]):
    """Pass on the indices of a batch unchanged; the pixels are already on the device.

    An integer key gives that batch of the dataset in order, as ``trainer.overfit_batches`` requests it.
    """

    def __init__(self, num_samples: int, batch_size: int) -> None:
        self.in_order = torch.arange(num_samples).split(batch_size)

    def __len__(self) -> int:
        return len(self.in_order)

    def __getitem__(self, batch: Tensor | int) -> dict[str, Tensor]:
        return {"index": batch if isinstance(batch, Tensor) else self.in_order[batch]}


class BatchSampler(Sampler[Tensor]):
    """Yield the indices of each batch as int64 ``(B,)``.

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

    def __iter__(self) -> Iterator[Tensor]:
        """Yield the batches of the epoch."""
        order = self._order()
        total = len(self) * self.processes
        batches = order.split(self.batch_size)
        if not self.shuffle and self.processes > 1:
            # The same number of batches for each process; sizes differ by at most one.
            batches = order.tensor_split(total)
        yield from batches[self.rank : total : self.processes]

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
