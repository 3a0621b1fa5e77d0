"""Registered readers and augmentations, and data sets from arrays."""

import numpy as np
import pytest
import torch

from fer.core import registry
from fer.core.errors import FerError
from fer.data.arrays import from_arrays
from fer.data.augment import BatchAugmentation
from fer.data.augment_config import AugmentationConfig
from fer.data.config import DataConfig
from fer.data.datamodule import EmotionDataModule
from fer.data.readers.factory import read_dataset
from fer.data.readers.folder import read_folder
from fer.data.register import register_augmentation, register_reader
from fer.data.splits import indices


@pytest.fixture(autouse=True)
def _restore(monkeypatch):
    """Forget what a test registers."""
    for kind in (registry.READERS, registry.AUGMENTATIONS):
        monkeypatch.setattr(kind, "_entries", dict(kind._entries))


def faces(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 24, 24), dtype=np.uint8)


def stripes(count: int = 60, path: str = ""):
    return from_arrays({"train": (faces(count), ["happy", "sad", "angry"] * (count // 3))}, source=path)


def test_a_reader_has_options_and_a_validation_split_is_carved_out(tmp_path):
    register_reader("stripes")(stripes)
    config = DataConfig.from_dict({"name": "stripes", "count": 90, "path": "set"})
    assert config.with_absolute_paths().path.startswith("/")
    data = read_dataset(config)
    assert (len(data), data.images.shape[1:], set(data.roles)) == (90, (24, 24, 1), {"train", "val"})
    assert len(indices(data, "val")) == 9
    module = EmotionDataModule("stripes", count=60, batch_size=8, image_size=16)
    assert module.train_counts[module.labels.index("happy")] == 18


def test_a_reader_of_files_has_the_options_of_folders(tmp_path):
    cv2 = pytest.importorskip("cv2")
    for emotion in ("happy", "sad"):
        for number, image in enumerate(faces(12, len(emotion))):
            path = tmp_path / "train" / emotion / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), image)

    @register_reader("my_folder", files=True)
    def read(path: str, size: int):
        return read_folder(path, size)

    config = DataConfig.create({"name": "my_folder", "path": str(tmp_path), "val_fraction": 0.25}, 32)
    assert config.size == 32
    data = read_dataset(config)
    assert data.images.shape == (24, 32, 32, 1)
    assert len(indices(data, "val")) == 6
    register_reader("wrong_folder")(lambda path="": read_folder(str(tmp_path), 24))
    with pytest.raises(FerError, match=r'register_reader\("wrong_folder", files=True\)'):
        read_dataset({"name": "wrong_folder"})


def test_a_wrong_result_is_one_line():
    register_reader("nothing")(lambda count=3: [count])
    with pytest.raises(FerError, match=r"datamodule=nothing: expected .*EmotionData, got a list"):
        read_dataset({"name": "nothing"})
    for arrays, message in (
        ({"training": (faces(2), ["sad"] * 2)}, "expected the splits train, val, test, got training"),
        ({"train": (faces(2) / 255, ["sad"] * 2)}, r"expected images uint8 .*, got float64 \(2, 24, 24, 1\)"),
        ({"train": (faces(2), ["sad"])}, "expected as many labels as images, 2, got 1"),
        ({"train": (faces(1), ["glad"])}, "expected one of angry, .*, got 'glad'"),
        ({"train": (faces(1), [0]), "val": (faces(1)[:, :9, :9], [0])}, "expected images of one shape"),
    ):
        with pytest.raises(FerError, match=message):
            from_arrays(arrays)


def test_an_augmentation_follows_the_strengths_beside_its_options():
    @register_augmentation("noise")
    def noise(sigma: float = 0.1):
        def apply(images, generator):
            return images + sigma * torch.randn(images.shape, generator=generator)

        return apply

    config = AugmentationConfig.of({"name": "noise", "sigma": 0.5, "flip": 1})
    assert AugmentationConfig.from_dict(config.to_dict()) == config
    images = torch.zeros(2, 1, 16, 16, dtype=torch.uint8)
    images[..., 0] = 255
    augment = BatchAugmentation(config)
    first, again = (augment(images, 16, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, again)
    assert first[..., -1].mean() > 0.8
    assert 0.4 < first[..., :-1].std() < 0.6
    # Workers know the strengths only.
    assert augment.strengths == AugmentationConfig(flip=1)
    with pytest.raises(FerError, match=r"augmentation\.sigma: expected a number, got 'x'"):
        AugmentationConfig.of({"name": "noise", "sigma": "x"})
    with pytest.raises(
        FerError, match=r"augmentation: expected one of light, .*, noise, got 'noize'. Did you"
    ):
        AugmentationConfig.of("noize")


def test_an_augmentation_may_be_a_module_and_has_to_keep_the_shape():
    register_augmentation("half")(lambda: torch.nn.AvgPool2d(2))
    augment = BatchAugmentation(AugmentationConfig.of("half"))
    with pytest.raises(
        FerError, match=r"augmentation=half: expected .*\(3, 1, 16, 16\).* got .*\(3, 1, 8, 8\)"
    ):
        augment(torch.zeros(3, 1, 16, 16, dtype=torch.uint8), 16)
    register_augmentation("flat")(lambda: torch.nn.Identity())
    assert (
        BatchAugmentation(AugmentationConfig.of("flat"))(
            torch.zeros(3, 1, 16, 16, dtype=torch.uint8), 8
        ).shape[-1]
        == 8
    )


def test_the_config_without_a_name_is_stored_as_before():
    assert "name" not in AugmentationConfig.of("light").to_dict()
    assert type(AugmentationConfig.of("light")) is AugmentationConfig
