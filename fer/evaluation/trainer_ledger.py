"""`TestLedger`, the callback with which ``Trainer.test`` scores a test split and records the score."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from fer.analysis.about import About
from fer.core.errors import FerError
from fer.core.paths import expand_user
from fer.data.datamodule import EmotionDataModule
from fer.evaluation.ledger import Ledger, score_entry
from fer.evaluation.runs import hash_recipe
from fer.evaluation.score import softmax
from fer.evaluation.split import EvaluationSplit, select_split
from fer.models.checkpoint import hash_model


class TestLedger(Callback):
    """Allow ``Trainer.test`` on the test split of an `EmotionDataModule`, and record the score.

    Each score of a test split is a line of the test ledger, ``test_ledger.jsonl``, as with fer-evaluate. It
    is written before Lightning shows the score. Images of another loader are not recorded.

    >>> trainer = pl.Trainer(callbacks=[fer.TestLedger()])
    >>> trainer.test(module, datamodule=dm)

    Args:
        folder: Folder of the ledger; None: that of all runs of the Trainer's logger, such as
            ``lightning_logs``, or ``default_root_dir`` without a logger.
    """

    # `EmotionDataModule.test_dataloader` looks for it.
    records_test_scores = True
    # Not a test of pytest.
    __test__ = False

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = folder
        self._rows: list[Tensor] = []
        self._logits: list[Tensor] = []

    def on_test_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Check the number of processes.

        Raises:
            FerError: There are several, each of which would see a part of the images.
        """
        self._rows, self._logits = [], []
        if _data(trainer) is not None and trainer.world_size > 1:
            raise FerError(
                f"trainer.test: expected one device, got {trainer.world_size} processes. Use another Trainer "
                "with devices=1."
            )

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:  # fmt: skip
        """Keep the logits of the batch."""
        if outputs and _data(trainer) is not None:
            self._rows.append(outputs["index"].cpu())
            self._logits.append(outputs["logits"].float().cpu())

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Append the score to the ledger, and print how often the recipe was scored before.

        Raises:
            FerError: The ledger cannot be written.
        """
        data = _data(trainer)
        if data is None or not self._rows:
            return
        rows = np.concatenate([part.numpy() for part in self._rows])
        probs = softmax(np.concatenate([part.numpy() for part in self._logits]))
        split = select_split(data.with_test_labels, "test", pl_module.labels)
        target = split.target[np.searchsorted(split.index, rows)]
        about = _about(trainer, pl_module, split)
        ledger = Ledger(self._folder(trainer))
        earlier = ledger.history(about).same_recipe
        ledger.append(score_entry(about, target, probs, pl_module.labels.names))
        print(f"test ledger: {ledger.path}; earlier scores of this recipe on these images: {earlier}")

    def _folder(self, trainer: pl.Trainer) -> Path:
        # The loggers of Lightning that write files have a folder of all their runs.
        folder = self.folder or getattr(trainer.logger, "root_dir", None) or trainer.default_root_dir
        return expand_user(folder)


def _data(trainer: pl.Trainer) -> EmotionDataModule | None:
    data = getattr(trainer, "datamodule", None)
    return data if isinstance(data, EmotionDataModule) else None


def _about(trainer: pl.Trainer, module: Any, split: EvaluationSplit) -> About:
    """Return the facts about the images and the model."""
    config = module.config
    return replace(
        split.about(split.in_test),
        run=Path(trainer.log_dir or trainer.default_root_dir).name,
        model=config.model.name,
        image_size=config.model.image_size,
        parameters=sum(weights.numel() for weights in module.model.parameters()),
        checkpoint=str(trainer.ckpt_path or ""),
        seed=config.seed,
        model_sha256=hash_model(module.model),
        recipe_sha256=hash_recipe(module.hparams["config"]),
        trained_on=module.hparams["manifest"] or {},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
