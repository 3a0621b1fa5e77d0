"""Images that weights had seen before, and that a run validates or tests on."""

from dataclasses import replace

import pytest
from picture_layouts import write_folder

from fer.data.folder import read_folder
from fer.data.splits import carve_validation, manifest
from fer.training.run_data import read_data
from fer.training.transfer import leaks


def parts(**hashes):
    return {"splits": {role: {"split": role.title(), "count": 1000, "pixels_sha256": value}
                       for role, value in hashes.items()}}  # fmt: skip


def on_disk(role, value):
    return {"splits": {role: {"split": role.title(), "count": 1000, "files_sha256": value}}}


NOW = parts(train="a", val="b", test="c")


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (parts(train="a", val="b", test="c"), []),  # the usual case: the same set again
        (parts(train="x", val="b"), []),
        (parts(train="b", val="x"), ["trained on the images of this run's val split (Val, 1,000 images)"]),
        (parts(train="c"), ["trained on the images of this run's test split"]),
        (parts(train="x", val="c"), ["chosen on the images of this run's test split"]),
        (None, []),
    ],
)
@pytest.mark.parametrize("runs_between", [0, 1])
def test_leaks_through_weights(before, said, runs_between):
    record = {"path": "run", "manifest": before, "init_from": None}
    if runs_between:
        record = {"path": "later", "manifest": parts(train="y"), "init_from": record}
    lines = leaks(record, NOW)
    assert len(lines) == len(said)
    assert all(words in line for words, line in zip(said, lines, strict=True))


def test_another_carve_out_of_the_same_images_leaks(tmp_path):
    data = read_folder(write_folder(tmp_path), 48)
    data = replace(data, roles={role: name for role, name in data.roles.items() if role != "val"})
    one, same, other = (manifest(carve_validation(data, 0.2, seed)) for seed in (0, 0, 1))
    origin = {"path": "run", "manifest": one, "init_from": None}
    assert leaks(origin, same) == []
    (line,) = leaks(origin, other)
    assert "trained on most images of this run's val split" in line
    held = replace(data, images=data.images[:])
    assert len(leaks({**origin, "manifest": manifest(carve_validation(held, 0.2, 0))},
                     manifest(carve_validation(held, 0.2, 1)))) == 1  # fmt: skip


def test_it_leaks_too_where_copies_were_dropped_from_train(tmp_path):
    folder = write_folder(tmp_path)
    for path in sorted((folder / "train").rglob("*.png"))[:6]:
        path.with_stem(f"{path.stem}_copy").write_bytes(path.read_bytes())
    options = {"name": "folder", "path": str(folder), "labels": None, "size": 48, "color": False,
               "memory_gb": 2.0, "skip_corrupt": False, "val_fraction": 0.2, "drop_leaks": True}  # fmt: skip
    one, other = (read_data({"datamodule": {**options, "split_seed": seed}}).manifest for seed in (0, 1))
    assert one["splits"]["train"] != other["splits"]["train"]
    (line,) = leaks({"path": "run", "manifest": one, "init_from": None}, other)
    assert "trained on most images of this run's val split" in line


@pytest.mark.parametrize(
    ("before", "now", "leaking"),
    [
        (on_disk("train", "a"), on_disk("val", "a"), True),
        (on_disk("train", "a"), on_disk("val", "b"), False),
        (on_disk("train", "a"), parts(val="a"), False),  # pixels are no files
        (parts(train="a"), on_disk("val", "a"), False),
    ],
)
def test_leaks_of_sets_that_stay_on_disk(before, now, leaking):
    assert bool(leaks({"path": "run", "manifest": before, "init_from": None}, now)) == leaking
