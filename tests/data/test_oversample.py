"""Oversampling: each emotion equally often, in an order that depends on seed and epoch."""

import numpy as np
import pytest
import torch

from fer.core.labels import FER7
from fer.data.datamodule import EmotionDataModule
from fer.data.dataset import EmotionData
from fer.data.loaders import BatchSampler

TARGETS = np.repeat(np.arange(7), [700, 10, 200, 400, 60, 30, 600])


@pytest.fixture
def datamodule():
    images = np.zeros((len(TARGETS) + 7, 8, 8, 1), np.uint8)
    split = np.r_[np.zeros(len(TARGETS), np.uint8), np.ones(7, np.uint8)]
    targets = np.r_[TARGETS, np.arange(7)]
    roles = {"train": "a", "val": "b"}
    data = EmotionData(images, targets, split, ("a", "b"), roles, FER7, "noise")
    return EmotionDataModule(data, oversample=True, batch_size=50)


def epoch_indices(loader, epoch):
    loader.sampler.set_epoch(epoch)
    return torch.cat([batch["index"] for batch in loader])


def test_every_emotion_is_sampled_equally_often(datamodule):
    loader = datamodule.train_dataloader()
    indices = torch.cat([epoch_indices(loader, epoch) for epoch in range(20)])
    assert len(loader) == 40
    assert len(indices) == 20 * 2000
    counts = np.bincount(TARGETS[indices], minlength=7)
    np.testing.assert_allclose(counts / len(indices), np.full(7, 1 / 7), rtol=0.05)
    per_image = np.bincount(indices[TARGETS[indices] == 1] - 700, minlength=10)
    np.testing.assert_allclose(per_image / per_image.sum(), np.full(10, 0.1), rtol=0.25)


def test_the_order_depends_only_on_seed_and_epoch(datamodule):
    first = epoch_indices(datamodule.train_dataloader(), 3)
    torch.manual_seed(99)
    assert torch.equal(epoch_indices(datamodule.train_dataloader(), 3), first)
    assert not torch.equal(epoch_indices(datamodule.train_dataloader(), 4), first)
    datamodule.seed = 1
    assert not torch.equal(epoch_indices(datamodule.train_dataloader(), 3), first)


def test_processes_divide_the_samples():
    weights = torch.rand(100, dtype=torch.float64)
    samplers = [BatchSampler(100, 10, True, shard=(rank, 2), weights=weights) for rank in range(2)]
    all_batches = [indices for _, _, indices in BatchSampler(100, 10, True, weights=weights)]
    shards = [[indices for _, _, indices in sampler] for sampler in samplers]
    interleaved = [batch for pair in zip(*shards, strict=True) for batch in pair]
    assert all(torch.equal(a, b) for a, b in zip(all_batches, interleaved, strict=True))


def test_validation_is_in_order(datamodule):
    assert torch.equal(epoch_indices(datamodule.val_dataloader(), 0), torch.arange(2000, 2007))
