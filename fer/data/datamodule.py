"""The Lightning data module: batches of a dataset in memory or on disk, resized and augmented."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerStatus
from torch import Tensor

from fer.core.config import Part
from fer.core.errors import FerError
from fer.core.labels import LabelSpace
from fer.data.augment import BatchAugmentation, to_float
from fer.data.augment_config import AugmentationConfig
from fer.data.config import BatchConfig, DataConfig
from fer.data.dataset import EmotionData, label_given_vote, source_counts
from fer.data.duplicates import check_duplicates
from fer.data.emotions import choose_emotions
from fer.data.loaders import (
    BatchLoader,
    BatchSampler,
    augmented_views,
    channels_first,
    checked_images,
    file_backed_loader,
    seeded_generator,
)
from fer.data.readers.factory import read_dataset
from fer.data.resident import DeviceSplits, resident_images, resident_loader
from fer.data.schedule import training_progress
from fer.data.sketch import split_sketches
from fer.data.splits import hide_test_labels, indices, manifest

# What a batch has of each image beside its pixels, if the data have it.
_LABELS = {"target", "votes", "teacher", "source"}


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
        predict_split: What ``Trainer.predict`` predicts: ``train``, ``val`` or ``test``, in their order.
        options: Options of the data set named by ``data``, as in ``conf/datamodule``: ``path``,
            ``batch_size``, ``emotions``, …; for arrays those of `BatchConfig`.

    Attributes:
        data: The dataset, without the labels of the test split.
        with_test_labels: The dataset with them, for `fer.TestLedger`.
        manifest: Counts and hashes of its splits.
        teacher: Answers of teachers to the training images, float32 ``(N, K)``, or None. Batches have them.
        duplicates: Duplicates in it, as `fer.data.duplicates.duplicate_report` returns them, or None.
        sketches: Sketches of its splits, as `fer.data.sketch.split_sketches` returns them.

    Batches are ``{"image": float32 (B, C, S, S) in [0, 1], "target": int64 (B,), "index": int64 (B,)}``; the
    index is the row of the image in the dataset. Data with votes adds ``"votes": float32 (B, K)``, data
    of several sources ``"source": int64 (B,)``, data with `fer.data.landmarks` to augmented images their
    ``"landmarks": float32 (B, 5, 2)``. Within a Trainer, loaders of data in memory yield only the index.

    ``Trainer.test`` scores the test split only with a callback that records the score, `fer.TestLedger`.

    Raises:
        FerError: The data cannot be read, a split is missing, or the training split is smaller than a batch.

    >>> EmotionDataModule("synthetic", num_train=140, num_val=70, num_test=70, batch_size=20).train_counts
    [20, 20, 20, 20, 20, 20, 20]
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
        predict_split: str = "val",
        **options: Any,
    ) -> None:
        super().__init__()
        if isinstance(data, str):
            data = DataConfig.create({"name": data, **options}, image_size)
        if isinstance(data, DataConfig):
            config, data = data, read_data(data)
        batches = config or BatchConfig.from_dict(options)
        if isinstance(data, EmotionData):
            chosen = choose_emotions(data, batches.emotions, batches.merge)
            data = RunData(chosen, None, manifest(chosen))
        self.config, self.manifest, self.duplicates = config, data.manifest, data.duplicates
        self.sketches, self.with_test_labels = data.sketches, data.dataset
        self.data = hide_test_labels(data.dataset)
        self.rows = {role: indices(self.data, role) for role in ("train", "val")}
        self._batch_size, self.eval_batch_size = batches.batch_size, batches.eval_batch_size
        self.predict_split = predict_split
        self.image_size = image_size
        self.augment = BatchAugmentation(AugmentationConfig.of(augmentation))
        self.progressive = sorted((start, int(size)) for start, size in progressive)
        self.seed, self.oversample, self.workers = seed, oversample, getattr(batches, "workers", 0)
        self.teacher: np.ndarray | None = None
        self._device_splits = DeviceSplits()
        self._generator: tuple[int, torch.Generator] | None = None
        self._first_epoch = 0
        if self.batch_size > (count := len(self.rows["train"])):
            raise FerError(
                f"datamodule.batch_size={self.batch_size} is larger than the training split ({count} images)."
                " Choose a smaller batch size."
            )

    @property
    def batch_size(self) -> int:
        """Images per training batch and process; Lightning's ``scale_batch_size`` tries larger ones."""
        return self._batch_size

    @batch_size.setter
    def batch_size(self, value: int) -> None:
        self._batch_size = min(value, len(self.rows["train"]) // self._shard()[1])
        self.config = self.config and self.config.replace(batch_size=self._batch_size)

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
        """P(label | vote) over the training images, ``(K, K)``, or None."""
        return label_given_vote(self.data, self.rows["train"])

    @property
    def source_counts(self) -> list[list[int]] | None:
        """Return the training images of each emotion in each source, ``(S, K)``, or None."""
        return source_counts(self.data, self.rows["train"])

    def train_dataloader(self) -> BatchLoader:
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
        return self._loader("train", sampler, is_training=True)

    def state_dict(self) -> dict[str, Any]:
        """Return the state to store in a checkpoint at the end of an epoch: the next epoch."""
        assert self.trainer is not None
        return {"next_epoch": self.trainer.current_epoch + 1}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the next epoch; workers fetch the first batches before Lightning sets it."""
        self._first_epoch = state_dict["next_epoch"]

    def val_dataloader(self) -> BatchLoader:
        """Return a loader of the validation images in order."""
        return self._ordered_loader("val")

    def test_dataloader(self) -> BatchLoader:
        """Return a loader of the test images in order.

        Raises:
            FerError: The data has no test split, or no callback records the score.
        """
        callbacks = getattr(self.trainer, "callbacks", ())
        if not any(getattr(callback, "records_test_scores", False) for callback in callbacks):
            raise FerError(
                "trainer.test: expected the callback fer.TestLedger(), which records the score in the test "
                "ledger, got none. Use pl.Trainer(callbacks=[fer.TestLedger()]), or score a checkpoint with "
                'fer.evaluate(CHECKPOINT, split="test").'
            )
        return self._ordered_loader("test")

    def predict_dataloader(self) -> BatchLoader:
        """Return a loader of the images of ``predict_split`` in order."""
        return self._ordered_loader(self.predict_split)

    def _ordered_loader(self, role: str) -> BatchLoader:
        size, shard = len(self._rows_of(role)), self._shard()
        return self._loader(role, BatchSampler(size, self.eval_batch_size, shuffle=False, shard=shard))

    def _rows_of(self, role: str) -> np.ndarray:
        if role not in self.rows:
            self.rows[role] = indices(self.data, role)
        return self.rows[role]

    def _loader(self, role: str, sampler: BatchSampler, is_training: bool = False) -> BatchLoader:
        """Return a loader of indices, or of images on disk; outside a Trainer, of complete batches."""
        images, fill = self.data.images, None
        if not self._is_running():
            sampler.seed = self.seed

            def fill(batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
                return self._fill(batch, role, self.image_size, generator if is_training else None)

        if isinstance(images, np.ndarray):
            return resident_loader(sampler, fill)
        augmentation = self.augment.strengths if is_training else AugmentationConfig()
        rows = self._rows_of(role)
        return file_backed_loader(images, rows, sampler, augmentation, self.seed, self.workers, fill)

    def _is_running(self) -> bool:
        """Whether a Trainer asks for the loaders, which calls `on_after_batch_transfer`."""
        state = getattr(self.trainer, "state", None)
        return self.trainer is not None and (state is None or state.status == TrainerStatus.RUNNING)

    def on_after_batch_transfer(self, batch: dict[str, Tensor], dataloader_idx: int) -> dict[str, Tensor]:
        """Return images and targets for the indices of a batch, on the device."""
        assert self.trainer is not None
        if not self.trainer.training:
            return self._fill(batch, self._evaluated_role(), self.image_size)
        generator = self._epoch_generator(batch["index"].device)
        return self._fill(batch, "train", self.train_image_size(), generator)

    def _evaluated_role(self) -> str:
        if getattr(self.trainer, "predicting", False):
            return self.predict_split
        return "test" if getattr(self.trainer, "testing", False) else "val"

    def _fill(
        self, batch: dict[str, Tensor], role: str, size: int, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """Return a batch with images and targets; with a generator, the images in memory are augmented."""
        split = self.split_tensors(role, batch["index"].device)
        if not isinstance(self.data.images, np.ndarray):
            # In distributed training the other processes wait for the gradient of an empty batch.
            allow_empty = generator is None or (self.trainer is not None and self.trainer.world_size == 1)
            image = checked_images(self.data.images, batch, size, allow_empty)
            images = {"image": image if generator is None else self.augment.apply_own(image, generator)}
        else:
            images = resident_images(split, batch["index"], size, self.augment, generator)
        labels = {name: split[name][batch["index"]] for name in split.keys() & _LABELS}
        return {**images, **labels, "index": split["row"][batch["index"]]}

    def train_image_size(self) -> int:
        """Return the side of the training images at this step, in pixels."""
        assert self.trainer is not None
        progress = training_progress(self.trainer) if self.progressive else 0.0
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
                self.data.images, rows, self.augment.strengths, num_views, self.seed
            )
            generator = seeded_generator("example", self.seed, 0)
            views = self.augment.apply_own(to_float(augmented, self.image_size), generator)
        views = views.unflatten(0, (-1, num_views))
        originals = to_float(images, self.image_size)[:, None]
        return torch.cat([originals, views], 1).flatten(0, 1).permute(0, 2, 3, 1).numpy()

    def split_tensors(self, role: str, device: torch.device) -> dict[str, Tensor]:
        """Return a split as tensors on the device; see `fer.data.resident.DeviceSplits`.

        Labels of the test split are included only while ``Trainer.test`` scores it.
        """
        is_tested = role == "test" and getattr(self.trainer, "testing", False)
        name, data = (f"{role} with labels", self.with_test_labels) if is_tested else (role, self.data)
        split = self._device_splits.get(name, data, self._rows_of(role), device)
        if role == "train" and self.teacher is not None and "teacher" not in split:
            split["teacher"] = torch.from_numpy(self.teacher).to(device)
        return split

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
