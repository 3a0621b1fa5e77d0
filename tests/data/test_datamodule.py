"""Batches of a dataset in memory."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fer.core.errors import FerError
from fer.core.labels import FER7
from fer.data.augment_config import AugmentationConfig
from fer.data.datamodule import EmotionDataModule
from fer.data.dataset import EmotionData


def make_data(roles=("train", "val", "test"), counts=(20, 11, 6)):
    rng = np.random.default_rng(0)
    split = np.repeat(np.arange(3, dtype=np.uint8), counts)
    rng.shuffle(split)
    names = ("train", "val", "test")
    return EmotionData(
        images=rng.integers(0, 256, (len(split), 24, 24, 1), dtype=np.uint8),
        targets=rng.integers(0, 7, len(split)),
        split=split,
        split_names=names,
        roles={role: role for role in roles},
        labels=FER7,
        source="noise",
    )


def make(data=None, augmentation=None, progressive=(), seed=0, epoch=0, training=True):
    module = EmotionDataModule(
        data or make_data(), 24, augmentation or AugmentationConfig(), progressive, seed,
        batch_size=8, eval_batch_size=4,
    )  # fmt: skip
    module.trainer = SimpleNamespace(
        training=training, current_epoch=epoch, max_epochs=4, max_steps=-1, global_rank=0, world_size=1
    )
    return module


def train_batches(module, epoch):
    module.trainer.current_epoch = epoch
    loader = module.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return [module.on_after_batch_transfer(batch, 0) for batch in loader]


def test_the_batches_of_all_processes_must_fit():
    module = make()
    module.trainer.world_size = 3
    with pytest.raises(FerError, match="expected at most 20 images in a batch of all processes, got 3 x 8"):
        module.train_dataloader()


def test_test_labels_are_hidden():
    data = make_data()
    module = make(data)
    assert set(module.data.targets[data.split == 2]) == {-1}
    assert (data.targets >= 0).all()


def test_batch_has_votes_if_the_data_has():
    data = make_data()
    votes = np.random.default_rng(1).dirichlet(np.ones(7), len(data)).astype(np.float32)
    module = make(dataclasses.replace(data, votes=votes))
    for batch in train_batches(module, 0):
        assert batch["votes"].dtype == torch.float32
        np.testing.assert_array_equal(batch["votes"], votes[batch["index"]])
    assert "votes" not in train_batches(make(data), 0)[0]


def test_batch_has_the_images_and_targets_of_its_rows():
    data = make_data()
    for batch in train_batches(make(data), 0):
        rows = batch["index"].numpy()
        assert (data.split[rows] == 0).all()
        np.testing.assert_array_equal(batch["target"], data.targets[rows])
        expected = data.images[rows].transpose(0, 3, 1, 2) / 255
        np.testing.assert_allclose(batch["image"], expected, atol=1e-6)
        assert batch["image"].dtype == torch.float32
        assert batch["target"].dtype == batch["index"].dtype == torch.int64


def test_epoch_has_no_image_twice_and_drops_the_incomplete_batch():
    rows = torch.cat([batch["index"] for batch in train_batches(make(), 0)])
    assert len(rows) == len(set(rows.tolist())) == 16


def test_order_depends_on_epoch_and_seed():
    def order(seed, epoch):
        return [batch["index"].tolist() for batch in train_batches(make(seed=seed), epoch)]

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)


def test_augmentation_depends_on_seed_and_epoch():
    def images(seed, epoch):
        return torch.cat(
            [
                b["image"]
                for b in train_batches(make(augmentation=AugmentationConfig(rotation=20.0), seed=seed), epoch)
            ]
        )

    assert torch.equal(images(0, 1), images(0, 1))
    assert not torch.equal(images(0, 1), images(1, 1))


def test_validation_is_complete_in_order_and_not_augmented():
    data = make_data()
    module = make(
        data, augmentation=AugmentationConfig(rotation=20.0), progressive=[(0.0, 16)], training=False
    )
    batches = [module.on_after_batch_transfer(batch, 0) for batch in module.val_dataloader()]
    assert [len(batch["image"]) for batch in batches] == [4, 4, 3]
    rows = torch.cat([batch["index"] for batch in batches]).numpy()
    np.testing.assert_array_equal(rows, np.flatnonzero(data.split == 1))
    images = torch.cat([batch["image"] for batch in batches])
    np.testing.assert_allclose(images, data.images[rows].transpose(0, 3, 1, 2) / 255, atol=1e-6)


def test_training_size_grows_with_the_fraction_of_epochs():
    module = make(progressive=[(0.75, 24), (0.0, 16), (0.5, 20)])
    sizes = [{batch["image"].shape[-1] for batch in train_batches(module, epoch)} for epoch in range(4)]
    assert sizes == [{16}, {16}, {20}, {24}]


def test_train_counts():
    data = make_data()
    assert make(data).train_counts == np.bincount(data.targets[data.split == 0], minlength=7).tolist()


def test_label_given_vote_keeps_the_label_frequencies():
    data, num_classes = make_data(), 7
    votes = np.random.default_rng(0).dirichlet(np.ones(num_classes), len(data)).astype(np.float32)
    # An emotion without votes.
    votes[:, 3] = 0.0
    votes /= votes.sum(1, keepdims=True)
    module = make(dataclasses.replace(data, votes=votes))
    table = np.array(module.label_given_vote)
    np.testing.assert_allclose(table.sum(1), 1.0)
    np.testing.assert_array_equal(table[3], np.eye(num_classes)[3])
    expected = votes[module.rows["train"]] @ table
    np.testing.assert_allclose(expected.sum(0), module.train_counts, rtol=1e-5)
    assert make(data).label_given_vote is None


def test_examples_start_with_the_original_image():
    module = make(augmentation=AugmentationConfig(flip=1.0))
    grid = module.augmented_examples(num_faces=3, num_views=2)
    assert grid.shape == (9, 24, 24, 1)
    np.testing.assert_allclose(grid[1], grid[0][:, ::-1], atol=1e-5)


def test_missing_split_is_an_error():
    with pytest.raises(FerError, match="train"):
        make(make_data(roles=("train",)))


def test_batch_larger_than_the_training_split():
    with pytest.raises(FerError, match="batch_size=21 is larger than the training split"):
        EmotionDataModule(make_data(), 24, batch_size=21)
