"""Batches of image files that stay on disk."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from image_layouts import write_folder

from fer.core.errors import FerError
from fer.data.augment_config import AugmentationConfig
from fer.data.config import FolderConfig
from fer.data.datamodule import EmotionDataModule
from fer.data.duplicates import check_duplicates
from fer.data.readers.factory import prepare_image_set
from fer.data.readers.folder import read_folder
from fer.models.factory import build_model
from fer.models.inference import infer

CONFIG = FolderConfig(path="", val_fraction=0.25, memory_gb=0)
NET = {"name": "fast_cnn", "image_size": 32, "in_channels": None, "pretrained": False, "init_from": None,
       "freeze_epochs": 0, "stem": "auto", "dropout": 0.0,
       "kwargs": {"widths": [4, 8], "depths": [0, 0]}}  # fmt: skip
STRONG = AugmentationConfig(
    flip=0.5, rotation=20.0, scale=0.1, crop=0.1, brightness=0.2, contrast=0.3, erase=0.5, erase_max=0.2
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_CACHE_DIR", str(tmp_path / "cache"))
    return write_folder(tmp_path / "set")


def make(folder, augmentation=None, seed=0, workers=0, rank=(0, 1), progressive=(), **options):
    data = prepare_image_set(read_folder(folder, 32, color=True), CONFIG.replace(**options))
    module = EmotionDataModule(
        data, 32, augmentation or AugmentationConfig(), progressive, seed,
        batch_size=4, eval_batch_size=3, workers=workers,
    )  # fmt: skip
    module.trainer = SimpleNamespace(
        training=True, current_epoch=0, max_epochs=2, max_steps=-1, global_rank=rank[0], world_size=rank[1]
    )
    return module


def train_batches(module, epoch=0, loader=None):
    loader = loader or module.train_dataloader()
    module.trainer.current_epoch = epoch
    loader.sampler.set_epoch(epoch)
    return [module.on_after_batch_transfer(batch, 0) for batch in loader]


def val_batches(module):
    module.trainer.training = False
    return [module.on_after_batch_transfer(batch, 0) for batch in module.val_dataloader()]


@pytest.mark.parametrize("batches", [train_batches, val_batches])
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_equal_those_of_the_resident_dataset(folder, batches, workers):
    resident, on_disk = (batches(make(folder, workers=workers, memory_gb=gb)) for gb in (2.0, 0))
    assert len(resident) == len(on_disk) > 1
    for expected, batch in zip(resident, on_disk, strict=True):
        assert expected.keys() == batch.keys()
        for name, values in expected.items():
            assert values.dtype == batch[name].dtype
            assert torch.equal(values, batch[name]), name


def test_persistent_workers_use_the_current_epoch(folder):
    module = make(folder, workers=1)
    loader = module.train_dataloader()
    orders = [
        [batch["index"].tolist() for batch in train_batches(module, epoch, loader)] for epoch in (0, 1, 0)
    ]
    assert orders[0] == orders[2] != orders[1]


def test_training_size_depends_on_the_epoch(folder):
    module = make(folder, progressive=[(0.0, 16), (0.5, 32)])
    assert [train_batches(module, epoch)[0]["image"].shape[-1] for epoch in (0, 1)] == [16, 32]


def test_an_integer_key_gives_a_batch_in_order(folder):
    loader = make(folder).train_dataloader()
    assert loader.dataset[1]["index"].tolist() == [4, 5, 6, 7]
    # The last of six batches is incomplete; a sampler of Lightning's overfit_batches counts images.
    assert loader.dataset[5]["index"].tolist() == loader.dataset[11]["index"].tolist() == [20]
    assert len(loader.dataset) == 21


def test_processes_divide_the_validation_split(folder):
    rows = [torch.cat([b["index"] for b in val_batches(make(folder, rank=(rank, 2)))]) for rank in (0, 1)]
    assert sorted(torch.cat(rows).tolist()) == make(folder).rows["val"].tolist()


def truncate_images(folder, number):
    """Truncate some training images; their headers stay intact, so only decoding shows the damage."""
    paths = sorted((folder / "train").rglob("*.png"))[:number]
    for path in paths:
        path.write_bytes(path.read_bytes()[:60])


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_stops_training_and_is_named(folder, workers):
    truncate_images(folder, 28)
    with pytest.raises(
        FerError, match=r"^\S+: \d of 42 files cannot be read as images: train/.*skip_corrupt=true$"
    ):
        train_batches(make(folder, workers=workers))


def test_a_damaged_image_is_skipped_in_its_batch(folder):
    truncate_images(folder, 1)
    module = make(folder, skip_corrupt=True)
    bad = int(np.flatnonzero([module.data.images.read_one(row) is None for row in range(42)])[0])
    module.rows["train"] = np.sort(np.append(np.setdiff1d(module.rows["train"], [bad])[:19], bad))
    with pytest.warns(UserWarning, match="1 of 42 files .* Continuing without them"):
        batches = train_batches(module)
    assert sorted(len(batch["image"]) for batch in batches) == [3, 4, 4, 4, 4]
    assert all(len(batch["image"]) == len(batch["target"]) == len(batch["index"]) for batch in batches)
    assert bad not in torch.cat([batch["index"] for batch in batches])


@pytest.mark.filterwarnings("ignore:.*Continuing without them")
def test_a_batch_without_readable_images_is_empty(folder):
    truncate_images(folder, 28)
    batches = train_batches(make(folder, skip_corrupt=True))
    assert 0 in {len(batch["image"]) for batch in batches}
    # The other process would wait for the gradient of an empty batch.
    with pytest.raises(FerError, match="cannot be read as images"):
        train_batches(make(folder, skip_corrupt=True, rank=(0, 2)))


@pytest.mark.filterwarnings("ignore:.*Continuing without them")
def test_duplicates_are_searched_among_readable_images(folder):
    truncate_images(folder, 2)
    data = make(folder, skip_corrupt=True).data
    report = check_duplicates(data, drop=True)[1]
    assert report["images"] == 42
    assert report["exact"]["surplus"] == 0
    with pytest.raises(FerError, match=r"2 of 42 files .*skip_corrupt=true"):
        check_duplicates(make(folder).data, drop=True)


@pytest.mark.filterwarnings("ignore:.*Continuing without them")
def test_inference_skips_a_batch_without_readable_images(folder):
    truncate_images(folder, 28)
    data = make(folder, skip_corrupt=True).data
    model = build_model(NET, len(data.labels), 3).eval()
    outputs = infer(model, data, 32, batch_size=1)
    assert len(outputs.rows) == len(outputs.logits) == 42 - 28
    none = replace(data, images=data.images.subset(np.setdiff1d(np.arange(42), outputs.rows)))
    with pytest.raises(FerError, match="cannot be read as images"):
        infer(model, replace(none, targets=none.targets[:28], split=none.split[:28]), 32, batch_size=4)


def test_augmented_examples(folder):
    grid = make(folder).augmented_examples(num_faces=3, num_views=2)
    assert grid.shape == (9, 32, 32, 3)
    np.testing.assert_allclose(grid[1], grid[0], atol=1e-6)


def test_augmentation_depends_on_seed_and_epoch_and_not_on_workers(folder):
    def images(seed=0, epoch=0, workers=0):
        module = make(folder, augmentation=STRONG, seed=seed, workers=workers)
        return torch.cat([batch["image"] for batch in train_batches(module, epoch)])

    first = images()
    assert torch.equal(first, images())
    assert torch.equal(first, images(workers=2))
    assert not torch.equal(first, images(epoch=1))
    assert not torch.equal(first, images(seed=1))
    plain = torch.cat([batch["image"] for batch in train_batches(make(folder))])
    assert not torch.equal(first, plain)


def test_validation_is_not_augmented(folder):
    plain, strong = (
        torch.cat([b["image"] for b in val_batches(make(folder, r))]) for r in (AugmentationConfig(), STRONG)
    )
    assert torch.equal(plain, strong)
