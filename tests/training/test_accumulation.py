"""Accumulated gradients are applied although no image of a batch could be read."""

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import MixedPrecision

from fer.core.labels import SPACES
from fer.training.module import EmotionModule

ENTIRE, EMPTY = 4, 0
GROUPS = {
    "last batch empty": [ENTIRE, ENTIRE, EMPTY],
    "first batch empty": [EMPTY, ENTIRE, ENTIRE],
    "all batches empty": [EMPTY, EMPTY, EMPTY],
    "empty, after another group": [ENTIRE, ENTIRE, ENTIRE, EMPTY, EMPTY, EMPTY],
}


def batch(size, seed):
    rng = torch.Generator().manual_seed(seed)
    return {
        "image": torch.rand(size, 1, 32, 32, generator=rng),
        "target": torch.randint(7, (size,), generator=rng),
        "index": torch.arange(size),
    }


def flat_weights(module):
    return torch.cat([weights.detach().flatten() for weights in module.parameters()])


def fit(sizes, plugin=None):
    """Train on batches of these sizes with plain SGD; return the weights before and after."""
    torch.manual_seed(0)
    module = EmotionModule(
        {"name": "fast_cnn", "image_size": 32, "kwargs": {"widths": [4, 8], "depths": [0, 0]}},
        labels=SPACES["fer7"], optimizer="sgd", lr=0.1, weight_decay=0.1, scheduler="constant", manifest={},
    )  # fmt: skip
    before = flat_weights(module)
    batches = [batch(size, seed) for seed, size in enumerate(sizes)]
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, accumulate_grad_batches=3, plugins=plugin, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    loader = torch.utils.data.DataLoader(batches, batch_size=None)
    module.on_train_epoch_end = lambda: None
    trainer.fit(module, loader)
    return before, flat_weights(module)


@pytest.mark.parametrize("sizes", GROUPS.values(), ids=GROUPS)
def test_groups_with_empty_batches(sizes):
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    before, expected = fit(sizes)
    same, scaled = fit(sizes, MixedPrecision("16-mixed", "cpu", scaler=scaler))
    assert torch.equal(before, same)
    assert torch.equal(before, expected) == (not any(sizes))
    # Half precision changes the gradients a little.
    torch.testing.assert_close(scaled - before, expected - before, rtol=0.1, atol=0.01)
    if any(sizes):
        assert torch.cosine_similarity(scaled - before, expected - before, dim=0) > 0.99
