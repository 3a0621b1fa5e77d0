"""Batches of a resident set: which images, in which order. No pixels pass through here."""

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler


class _Batches(Dataset[dict[str, Tensor]]):
    """Hand a batch of positions on as it is: the pixels wait on the device.

    A number asks for that batch of the set in order, which is how ``trainer.overfit_batches`` asks.
    """

    def __init__(self, num_samples: int, batch_size: int) -> None:
        self.in_order = torch.arange(num_samples).split(batch_size)

    def __len__(self) -> int:
        return len(self.in_order)

    def __getitem__(self, batch: Tensor | int) -> dict[str, Tensor]:
        return {"index": batch if isinstance(batch, Tensor) else self.in_order[batch]}


class BatchSampler(Sampler[Tensor]):
    """Yield the positions of each batch as int64 ``(B,)``.

    The order of an epoch depends on seed and epoch alone, so that a resumed run continues where it stopped.

    Args:
        num_samples: Size of the split.
        batch_size: Size of a batch.
        shuffle: Draw a new order each epoch and leave out the last, incomplete batch (a batch norm cannot
            live on a rest of one); otherwise all samples in order.
        seed: Seed of the order.
        shard: Which process of how many this is, e.g. ``(0, 2)``: each gets as many batches as the others,
            and none the images of another. Without ``shuffle`` each image is in exactly one of them.
        weights: With ``shuffle``, draw with replacement, each sample in proportion to its weight, ``(N,)``;
            an epoch still has ``num_samples`` draws.
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
        """Choose the order; Lightning calls this at the start of each epoch."""
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
            batches = order.tensor_split(total)  # as many batches for each, though some are smaller by one
        yield from batches[self.rank : total : self.processes]

    def _order(self) -> Tensor:
        """Return the positions of an epoch over all processes, int64 ``(N,)``."""
        if not self.shuffle:
            return torch.arange(self.num_samples)
        generator = seeded("order", self.seed, self.epoch)
        if self.weights is None:
            return torch.randperm(self.num_samples, generator=generator)
        return torch.multinomial(self.weights, self.num_samples, replacement=True, generator=generator)


def seeded(purpose: str, seed: int, epoch: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator whose stream depends on purpose, seed and epoch alone."""
    digest = hashlib.sha256(f"{purpose} {seed} {epoch}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8]) >> 1)


def batches(order: BatchSampler) -> DataLoader[dict[str, Tensor]]:
    """Return a loader of ``{"index": int64 (B,)}``; no workers, since there is nothing to load."""
    return DataLoader(_Batches(order.num_samples, order.batch_size), batch_size=None, sampler=order)
