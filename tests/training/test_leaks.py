"""Data leaks through initial weights that were trained or selected on evaluation images of a run."""

import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
from image_layouts import write_folder

from fer.data.config import DataConfig
from fer.data.datamodule import read_data
from fer.data.readers.folder import read_folder
from fer.data.sketch import split_sketches
from fer.data.splits import carve_validation, manifest
from fer.models.checkpoint import load_checkpoint
from fer.training.transfer import find_leaks, find_similar_splits

FACES = {"num_train": 140, "num_val": 70, "num_test": 70}


def pixel_manifest(**hashes):
    return {"splits": {role: {"split": role.title(), "count": 1000, "pixels_sha256": value}
                       for role, value in hashes.items()}}  # fmt: skip


def file_manifest(role, value):
    return {"splits": {role: {"split": role.title(), "count": 1000, "files_sha256": value}}}


NOW = pixel_manifest(train="a", val="b", test="c")


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        # the usual case: the same data
        (pixel_manifest(train="a", val="b", test="c"), []),
        (pixel_manifest(train="x", val="b"), []),
        (
            pixel_manifest(train="b", val="x"),
            ["trained on the images of this run's val split (Val, 1,000 images)"],
        ),
        (pixel_manifest(train="c"), ["trained on the images of this run's test split"]),
        (pixel_manifest(train="x", val="c"), ["selected on the images of this run's test split"]),
        (None, []),
    ],
)
@pytest.mark.parametrize("runs_between", [0, 1])
def test_leaks_through_initial_weights(before, expected, runs_between):
    record = {"path": "run", "manifest": before, "init_from": None}
    if runs_between:
        record = {"path": "later", "manifest": pixel_manifest(train="y"), "init_from": record}
    lines = find_leaks(record, NOW)
    assert len(lines) == len(expected)
    assert all(text in line for text, line in zip(expected, lines, strict=True))


def test_other_carve_out_of_the_same_images_is_a_leak(tmp_path):
    data = read_folder(write_folder(tmp_path), 48)
    data = replace(data, roles={role: name for role, name in data.roles.items() if role != "val"})
    one, same, other = (manifest(carve_validation(data, 0.2, seed)) for seed in (0, 0, 1))
    origin = {"path": "run", "manifest": one, "init_from": None}
    assert find_leaks(origin, same) == []
    (line,) = find_leaks(origin, other)
    assert "trained on most images of this run's val split" in line
    in_memory = replace(data, images=data.images[:])
    assert len(find_leaks({**origin, "manifest": manifest(carve_validation(in_memory, 0.2, 0))},
                     manifest(carve_validation(in_memory, 0.2, 1)))) == 1  # fmt: skip


def test_carve_out_leak_is_detected_with_drop_leaks(tmp_path):
    folder = write_folder(tmp_path)
    for path in sorted((folder / "train").rglob("*.png"))[:6]:
        path.with_stem(f"{path.stem}_copy").write_bytes(path.read_bytes())
    options = {"name": "folder", "path": str(folder), "labels": None, "size": 48, "color": False,
               "memory_gb": 2.0, "skip_corrupt": False, "val_fraction": 0.2, "drop_leaks": True}  # fmt: skip
    configs = (DataConfig.from_dict({**options, "split_seed": seed}) for seed in (0, 1))
    one, other = (read_data(config).manifest for config in configs)
    assert one["splits"]["train"] != other["splits"]["train"]
    (line,) = find_leaks({"path": "run", "manifest": one, "init_from": None}, other)
    assert "trained on most images of this run's val split" in line


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (file_manifest("train", "a"), file_manifest("val", "a"), True),
        (file_manifest("train", "a"), file_manifest("val", "b"), False),
        # hashes of pixels and of files are not comparable
        (file_manifest("train", "a"), pixel_manifest(val="a"), False),
        (pixel_manifest(train="a"), file_manifest("val", "a"), False),
    ],
)
def test_leaks_of_file_backed_data(before, now, expected):
    assert bool(find_leaks({"path": "run", "manifest": before, "init_from": None}, now)) == expected


def held_at(size, shrink=cv2.INTER_AREA):
    """Return the same drawn faces, stored with this side in pixels."""
    data = read_data(DataConfig.create({"name": "synthetic", **FACES, "size": 96}, 96)).dataset
    images = np.stack([cv2.resize(image, (size, size), interpolation=shrink) for image in data.images])
    return replace(data, images=images[..., None])


@pytest.mark.parametrize("used", ["train", "val"])
def test_leak_of_images_in_another_size(used):
    before, now = held_at(80), held_at(48)
    names = {role: now.split_names.index(name) for role, name in now.roles.items()}
    # The test images of this run were the train or validation images of the earlier one.
    swapped = {used: "test", "test": used}
    before = replace(before, roles={role: now.roles[swapped.get(role, role)] for role in names})
    origins = [{"path": "run", "splits": split_sketches(before)}]
    assert find_leaks({"path": "run", "manifest": manifest(before), "init_from": None}, manifest(now)) == []
    (line,) = find_similar_splits(origins, manifest(now), split_sketches(now))
    verb = "trained" if used == "train" else "selected"
    assert re.match(rf"run was {verb} on about \d+% of the images of this run's test split", line)
    assert "in another size or format" in line


def test_the_same_data_in_another_size_is_no_leak():
    origins = [{"path": "run", "splits": split_sketches(held_at(80))}, {"path": "older", "splits": {}}]
    now = held_at(48)
    assert find_similar_splits(origins, manifest(now), split_sketches(now)) == []


def test_a_run_stores_the_sketches_of_its_data_and_of_its_origins(tiny_run, capsys):
    model = ("model=fast_cnn", "model.kwargs.widths=[8,16]", "model.kwargs.depths=[0,0]")
    first = tiny_run(*model)
    first_checkpoint = first.folder / "checkpoints" / "last.ckpt"
    second = tiny_run(*model, f"model.init_from={first.folder}", "datamodule.size=64")
    assert "WARNING" not in capsys.readouterr().out
    sketches = load_checkpoint(second.folder / "checkpoints" / "last.ckpt").sketches
    assert set(sketches["splits"]) == {"train", "val", "test"}
    (origin,) = sketches["init_from"]
    assert origin["splits"] == load_checkpoint(first_checkpoint).sketches["splits"]
    assert len(origin["splits"]["val"]) == 32
