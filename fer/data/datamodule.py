"""EmotionDataModule: a set in memory or on disk as batches that are resized and augmented."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from fer.data.augment import BatchAugmentation, Recipe, to_float
from fer.data.dataset import EmotionData
from fer.data.file_backed import augmented_views, checked_pictures, picture_batches
from fer.data.loader import BatchSampler, batches, seeded
from fer.data.splits import hide_test_labels, indices
from fer.errors import FerError


class EmotionDataModule(pl.LightningDataModule):
    """Hold training and validation images as ``uint8`` tensors on the device; a batch is an index into them.

    Pictures that stay on disk (`fer.data.pictures.ImageFiles`) are decoded and augmented by workers instead.

    Args:
        data: The set; the labels of its test part are hidden at once.
        batch_size: Images of a training batch.
        eval_batch_size: Images of a validation batch.
        image_size: Side of the model's input, in pixels.
        recipe: Augmentation of training batches.
        progressive: ``[[share, size], …]``: from this share of the epochs on, train at this side in pixels;
            empty trains at ``image_size`` throughout. In any order. Validation is always at ``image_size``.
        seed: Seed of the order and the augmentation.
        oversample: Draw the training images with replacement, each emotion as often as any other.
        workers: Processes that decode pictures which stay on disk; unused for a set in memory.
        duplicates: What `fer.data.duplicates.describe` says of the set, for the record; or None.

    Batches: ``{"image": float32 (B, C, S, S) in [0, 1], "target": int64 (B,), "index": int64 (B,)}``, where
    the index is the image's row in the set. Data with votes adds ``"votes": float32 (B, K)``.

    Raises:
        FerError: The training batch is larger than the training split, or a split is missing.
    """

    def __init__(
        self,
        data: EmotionData,
        batch_size: int,
        eval_batch_size: int,
        image_size: int,
        recipe: Recipe,
        progressive: Sequence[tuple[float, int]] = (),
        seed: int = 0,
        oversample: bool = False,
        workers: int = 0,
        duplicates: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.data = hide_test_labels(data)
        self.rows = {role: indices(self.data, role) for role in ("train", "val")}
        self.batch_size, self.eval_batch_size, self.image_size = batch_size, eval_batch_size, image_size
        self.augment = BatchAugmentation(recipe)
        self.progressive, self.seed, self.oversample = sorted(progressive), seed, oversample
        self.workers, self.duplicates = workers, duplicates
        self._resident: dict[str, dict[str, Tensor]] = {}
        self._generator: tuple[int, torch.Generator] | None = None
        self._first_epoch = 0
        if batch_size > len(self.rows["train"]):
            raise FerError(
                f"datamodule.batch_size={batch_size} is larger than the training split "
                f"({len(self.rows['train'])} images). Choose a smaller batch."
            )

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
        """Return how often each label goes with a vote, ``(K, K)``, a row a vote, over the training images.

        Rows sum to 1; a vote that never came stands for its own label. None where there are no votes.
        """
        if self.data.votes is None:
            return None
        rows, identity = self.rows["train"], np.eye(len(self.data.labels))
        pairs = self.data.votes[rows].T @ identity[self.data.targets[rows]]
        known = pairs.sum(1, keepdims=True)
        return np.where(known > 0, pairs / np.maximum(known, 1e-9), identity).tolist()

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Return shuffled batches of positions."""
        weights = self._sample_weights() if self.oversample else None
        rows = self.rows["train"]
        order = BatchSampler(len(rows), self.batch_size, True, self.seed, self._shard(), weights)
        if not len(order):
            raise FerError(
                f"datamodule.batch_size={self.batch_size} is that of each of {order.processes} processes, "
                f"together more than the training split ({len(rows)} images). Choose a smaller batch."
            )
        order.set_epoch(self._first_epoch)
        return self._loader("train", order)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint at the end of an epoch keeps: the one to go on with."""
        assert self.trainer is not None
        return {"next_epoch": self.trainer.current_epoch + 1}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on: workers fetch the first batches before Lightning tells the sampler which epoch it is."""
        self._first_epoch = state_dict["next_epoch"]

    def val_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Return batches of positions in order."""
        rows = self.rows["val"]
        order = BatchSampler(len(rows), self.eval_batch_size, shuffle=False, shard=self._shard())
        return self._loader("val", order)

    def _loader(self, role: str, order: BatchSampler) -> DataLoader[dict[str, Tensor]]:
        """Let workers decode the pictures of each batch, where these stay on disk."""
        images = self.data.images
        if isinstance(images, np.ndarray):
            return batches(order)
        recipe = self.augment.recipe if role == "train" else Recipe()
        return picture_batches(images, self.rows[role], order, recipe, self.seed, self.workers)

    def on_after_batch_transfer(self, batch: dict[str, Tensor], dataloader_idx: int) -> dict[str, Tensor]:
        """Turn positions into images and targets, on the device."""
        assert self.trainer is not None
        training = bool(self.trainer.training)
        split = self.on_device("train" if training else "val", batch["index"].device)
        size = self.train_size() if training else self.image_size
        if not isinstance(self.data.images, np.ndarray):
            alone = not training or self.trainer.world_size == 1  # other processes wait for a gradient
            image = checked_pictures(self.data.images, batch, size, may_lack_all=alone)
        elif training:
            images = split["image"][batch["index"]]
            image = self.augment(images, size, self._epoch_generator(images.device))
        else:
            image = to_float(split["image"][batch["index"]], size)
        labels = {name: split[name][batch["index"]] for name in split.keys() & {"target", "votes"}}
        return {"image": image, **labels, "index": split["row"][batch["index"]]}

    def train_size(self) -> int:
        """Return the side of this epoch's training images, in pixels."""
        assert self.trainer is not None
        share = self.trainer.current_epoch / max(1, self.trainer.max_epochs or 1)
        sizes = [size for start, size in self.progressive if start <= share + 1e-9]
        return sizes[-1] if sizes else self.image_size

    def augmented_examples(self, num_faces: int = 6, num_views: int = 7) -> np.ndarray:
        """Return some training faces with augmented views of each, as a picture for people shows them.

        Returns:
            float32 ``(num_faces * (1 + num_views), S, S, C)`` in [0, 1]: each face, then its views.
        """
        rows = self.rows["train"][np.linspace(0, len(self.rows["train"]) - 1, num_faces).astype(int)]
        if isinstance(self.data.images, np.ndarray):
            images = _channels_first(self.data.images[rows])
            views = self.augment(
                images.repeat_interleave(num_views, 0), self.image_size, seeded("example", self.seed, 0)
            )
        else:
            images, augmented = augmented_views(
                self.data.images, rows, self.augment.recipe, num_views, self.seed
            )
            views = to_float(augmented, self.image_size)
        views = views.unflatten(0, (-1, num_views))
        plain = to_float(images, self.image_size)[:, None]
        return torch.cat([plain, views], 1).flatten(0, 1).permute(0, 2, 3, 1).numpy()

    def on_device(self, role: str, device: torch.device) -> dict[str, Tensor]:
        """Return a split as tensors on the device, put there once.

        Returns:
            ``target`` int64 ``(N,)`` and ``row`` int64 ``(N,)`` in the set; ``image`` uint8 ``(N, C, H, W)``
            where it is in memory; ``votes`` float32 ``(N, K)`` where it has them.
        """
        if role not in self._resident or self._resident[role]["row"].device != device:
            rows = self.rows[role]
            split = {
                "target": torch.from_numpy(self.data.targets[rows].copy()),
                "row": torch.from_numpy(rows.astype(np.int64)),
            }
            if isinstance(self.data.images, np.ndarray):
                split["image"] = _select(self.data.images, rows)
            if self.data.votes is not None:
                split["votes"] = torch.from_numpy(self.data.votes[rows])
            self._resident[role] = {name: tensor.to(device) for name, tensor in split.items()}
        return self._resident[role]

    def _epoch_generator(self, device: torch.device) -> torch.Generator:
        assert self.trainer is not None
        epoch = self.trainer.current_epoch
        if self._generator is None or self._generator[0] != epoch:
            rank, _ = self._shard()
            self._generator = (epoch, seeded(f"augment, process {rank}", self.seed, epoch, device))
        return self._generator[1]

    def _sample_weights(self) -> Tensor:
        """Return one over the size of each training image's class, ``(N,)``."""
        targets = torch.from_numpy(self.data.targets[self.rows["train"]])
        return 1.0 / torch.tensor(self.train_counts, dtype=torch.float64)[targets]

    def _shard(self) -> tuple[int, int]:
        """Return which process of how many this is."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)


def _select(images: np.ndarray, rows: np.ndarray) -> Tensor:
    """Return uint8 ``(n, C, H, W)``; a view where the rows lie side by side.

    The memory of a mapped file is then one for all processes of a machine.
    """
    if rows[-1] - rows[0] + 1 != len(rows):
        return _channels_first(images[rows])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that the map is read-only; nobody writes to it
        return torch.from_numpy(images[rows[0] : rows[-1] + 1]).permute(0, 3, 1, 2)


def _channels_first(images: np.ndarray) -> Tensor:
    """Return uint8 ``(N, H, W, C)`` as a tensor ``(N, C, H, W)`` of its own memory."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).contiguous()
