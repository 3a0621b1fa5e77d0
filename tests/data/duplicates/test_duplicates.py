"""Search for duplicates, the report, and dropping of leaks."""

import json
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from image_layouts import save

from fer.core.labels import FER7
from fer.data.dataset import EmotionData
from fer.data.duplicates import (
    check_duplicates,
    drop_leaks,
    duplicate_report,
    find_duplicates,
    find_exact_duplicates,
    report,
    search,
)
from fer.data.duplicates.hashes import dct_coefficients, hash_coefficients, mirror_coefficients, scan_images
from fer.data.duplicates.search import MAX_DISTANCE, MIN_COARSE, candidate_blocks
from fer.data.file_list import list_files
from fer.data.image_files import ImageFiles
from fer.data.splits import indices, manifest
from fer.data.synthetic import read_synthetic

NUM_FACES = 300
QUALITY = (cv2.IMWRITE_JPEG_QUALITY, 60)


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    """Different faces, uint8 (300, 48, 48, 1)."""
    return read_synthetic(NUM_FACES, 0, 0, num_workers=1).images


@pytest.fixture(autouse=True)
def temporary_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_CACHE_DIR", str(tmp_path / "cache"))


def moved(image, right, down, scale=1.0):
    middle = (1 - scale) * 23.5
    matrix = np.array([[scale, 0, middle + right], [0, scale, middle + down]], np.float32)
    return cv2.warpAffine(image, matrix, (48, 48), borderMode=cv2.BORDER_REPLICATE)


# Transformations of a duplicate, and the minimum recall: slightly below what is measured.
CHANGES = {
    "brighter": (lambda image: np.clip(image * 0.7 + 50, 0, 255).astype(np.uint8), 0.99),
    "gamma": (lambda image: (255 * (image / 255) ** 1.5).astype(np.uint8), 0.97),
    "noise": (
        lambda image: cv2.add(image, np.random.default_rng(0).normal(0, 4, image.shape), dtype=cv2.CV_8U),
        0.98,
    ),
    "jpeg": (lambda image: cv2.imdecode(cv2.imencode(".jpg", image, QUALITY)[1], 0), 0.98),
    "shift 1": (lambda image: moved(image, 1, 0), 0.97),
    "shift 2": (lambda image: moved(image, 2, -1), 0.78),
    "crop": (lambda image: moved(image, 0, 0, 1.03), 0.98),
    "mirror": (lambda image: np.ascontiguousarray(image[:, ::-1]), 0.99),
    "watermark": (lambda image: cv2.putText(image.copy(), "stock", (2, 30), 0, 0.3, 200), 0.95),
}


@pytest.mark.parametrize("change", CHANGES)
def test_near_duplicates_are_duplicates_with_high_precision(faces, change):
    transform, min_recall = CHANGES[change]
    altered = np.stack([transform(image) for image in faces[:, :, :, 0]])[..., None]
    duplicates = search.find_in_scan(scan_images(np.concatenate([faces, altered])))
    true = duplicates.pairs[:, 1] - duplicates.pairs[:, 0] == NUM_FACES
    assert true.sum() >= min_recall * NUM_FACES
    # Synthetic faces share their geometry. For photographs the precision is over 99 % (decisions/0005).
    assert true.mean() >= 0.93
    if change == "mirror":
        assert duplicates.pairs[true, 2].mean() > 0.95


def test_the_result_does_not_depend_on_the_sizes_of_blocks(faces, monkeypatch):
    scanned = scan_images(np.concatenate([faces, np.roll(faces, 2, axis=1), faces[:20], faces[:, :, ::-1]]))
    expected = search.find_in_scan(scanned)
    for name, size in (
        ("_PAIRS_PER_BLOCK", 9000), ("_CANDIDATES_PER_BLOCK", 7), ("_PAIRS_PER_TASK", 3),
        ("_PAIRS_PER_CHECK", 10), ("_BLOCKS_PER_THREAD", 1),
    ):  # fmt: skip
        monkeypatch.setattr(search, name, size)
    result = search.find_in_scan(scanned)
    assert len(expected.pairs) > NUM_FACES
    for name, array in vars(expected).items():
        np.testing.assert_array_equal(getattr(result, name), array)


def test_different_faces_are_no_duplicates(faces):
    duplicates = find_duplicates(faces)
    assert len(duplicates.pairs) <= 3  # of 44,850 pairs
    assert (duplicates.exact == np.arange(NUM_FACES)).all()


def test_large_color_images(faces):
    large = np.stack([cv2.resize(image, (120, 120), interpolation=cv2.INTER_CUBIC) for image in faces[:60]])
    rgb = np.repeat(large[..., None], 3, axis=3)
    shifted = np.roll(rgb, 4, axis=2)
    duplicates = find_duplicates(np.concatenate([rgb, shifted]))
    assert (duplicates.groups[60:] == np.arange(60)).mean() > 0.9


def test_coefficients_are_those_of_opencv(faces):
    thumbnails = faces[:20, :, :, 0]
    coefs = dct_coefficients(thumbnails)
    for image, row in zip(thumbnails, coefs, strict=True):
        full = cv2.dct(image.astype(np.float32))
        diagonals = [full[v, d - v] for d in range(1, 10) for v in range(d + 1)]  # 54 of the 64
        scale = np.linalg.norm(diagonals) / np.linalg.norm(row[:54])
        np.testing.assert_allclose(np.sort(row[:54]) * scale, np.sort(diagonals), atol=0.05)
    np.testing.assert_allclose(
        dct_coefficients(thumbnails[:, :, ::-1]), mirror_coefficients(coefs), atol=1e-5
    )


def test_uniform_images_are_only_exact_duplicates():
    images = np.stack([np.full((48, 48, 1), value, np.uint8) for value in (0, 0, 7, 255)])
    duplicates = find_duplicates(images)
    assert duplicates.groups.tolist() == [0, 0, 2, 3]
    assert np.isfinite(dct_coefficients(images[..., 0])).all()


def test_candidates_equal_brute_force(faces):
    coefs = dct_coefficients(np.concatenate([faces, np.roll(faces, 2, axis=1)])[..., 0])
    expected = []
    for mirrored, other in enumerate((coefs, mirror_coefficients(coefs))):
        bits = (coefs > 0)[:, None] != (other > 0)[None]
        near = np.triu(bits.sum(2) <= MAX_DISTANCE, 1) & (coefs @ other.T >= MIN_COARSE)
        expected += [(i, j, mirrored) for i, j in np.argwhere(near)]
    pairs = np.concatenate(list(candidate_blocks(coefs)))
    assert sorted(pairs.tolist()) == sorted(map(list, expected))
    assert len(expected) > NUM_FACES / 2
    assert hash_coefficients(coefs).dtype == np.uint64


def make_data(images, roles, targets) -> EmotionData:
    names = ("train", "val", "test")
    return EmotionData(
        images=images,
        targets=np.array(targets, np.int64),
        split=np.array([names.index(role) for role in roles], np.uint8),
        split_names=names,
        roles={name: name for name in names},
        labels=FER7,
        source="faces",
    )


@pytest.fixture
def data(faces) -> EmotionData:
    """Rows 0 and 3 have the same pixels, 1, 4, 5 and 2, 6 are near duplicates, 7 and 8 are unique."""
    shifted = [moved(faces[row, :, :, 0], 1, 1)[..., None] for row in (1, 2)]
    brighter = np.clip(faces[1] * 0.8 + 30, 0, 255).astype(np.uint8)
    images = np.stack([*faces[:3], faces[0], brighter, *shifted, *faces[3:5]])
    roles = ["train", "train", "train", "train", "train", "val", "test", "val", "test"]
    return make_data(images, roles, [3, 3, 3, 4, 3, 3, 5, 0, 0])


def test_report_of_a_known_dataset(data):
    result = json.loads(json.dumps(duplicate_report(data, find_duplicates(data.images))))
    none = {"train": 0, "val": 0, "test": 0}
    images = {"train": none | {"train": 2}, "val": none, "test": none}
    assert result["exact"] == {"groups": 1, "surplus": 1, "images": images}
    assert (result["near_or_exact"]["groups"], result["near_or_exact"]["surplus"]) == (3, 4)
    assert result["near_or_exact"]["images"]["train"] == {"train": 4, "val": 2, "test": 1}
    assert result["near_or_exact"]["images"]["val"] == {"train": 1, "val": 0, "test": 0}
    assert result["groups"] == [
        {"kind": "exact", "rows": [0, 3]},
        {"kind": "near", "rows": [1, 4, 5]},
        {"kind": "near", "rows": [2, 6]},
    ]
    assert result["conflicts"] == [{"kind": "exact", "rows": [0, 3], "labels": ["happy", "sad"]}]


def test_report_does_not_use_test_labels(data):
    other = replace(data, targets=np.where(data.split == 2, 1, data.targets))
    duplicates = find_duplicates(data.images)
    assert duplicate_report(data, duplicates) == duplicate_report(other, duplicates)


def test_near_duplicates_with_different_labels_conflict(data):
    result = duplicate_report(replace(data, targets=np.arange(9) % 7), find_duplicates(data.images))
    names = [FER7.names[i] for i in (1, 4, 5)]
    assert result["conflicts"][1] == {"kind": "near", "rows": [1, 4, 5], "labels": names}


def test_leaks_are_dropped_only_from_train(data):
    cleaned = drop_leaks(data, find_duplicates(data.images))
    assert indices(cleaned, "train").tolist() == [0, 3]
    assert cleaned.dropped == {report.LEAKS: 3}
    assert cleaned.images is data.images
    before, after = manifest(data)["splits"], manifest(cleaned)["splits"]
    assert (before["val"], before["test"]) == (after["val"], after["test"])
    assert drop_leaks(cleaned, find_duplicates(data.images)) is cleaned
    other = replace(data, targets=np.where(data.split == 2, 1, data.targets))
    np.testing.assert_array_equal(drop_leaks(other, find_duplicates(data.images)).split, cleaned.split)


def test_without_dropping_only_exact_duplicates_are_reported(data):
    same, result = check_duplicates(data, drop=False)
    assert same is data
    assert result == duplicate_report(data, find_exact_duplicates(data.images))
    assert (result["exact"]["groups"], result["near_or_exact"]) == (1, None)


def test_result_is_cached_by_pixels_and_a_damaged_cache_is_rebuilt(data, tmp_path, monkeypatch, capsys):
    first = find_duplicates(data.images)
    assert "cached for later runs" in capsys.readouterr().out
    (stored,) = (tmp_path / "cache").iterdir()
    monkeypatch.setattr(search, "candidate_blocks", None)  # a search would fail
    np.testing.assert_array_equal(find_duplicates(data.images.copy()).groups, first.groups)
    monkeypatch.undo()
    monkeypatch.setenv("FER_CACHE_DIR", str(tmp_path / "cache"))
    stored.write_bytes(stored.read_bytes()[:100])
    np.testing.assert_array_equal(find_duplicates(data.images).groups, first.groups)
    changed = data.images.copy()
    changed[0, 0, 0] ^= 1
    assert find_duplicates(changed).exact.tolist() == list(range(9))


def test_cache_that_cannot_be_written_is_a_warning(data, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FER_CACHE_DIR", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="cannot be cached"):
        assert find_duplicates(data.images).groups[3] == 0


def test_image_files_are_read_in_batches_and_once(tmp_path, data, monkeypatch):
    """1,800 files, 200 copies of 9 images. The second search decodes nothing, until a file changes."""
    for row, image in enumerate(np.tile(data.images, (200, 1, 1, 1))):
        save(tmp_path / "train" / "happy" / f"{row:04}.png", image[..., 0])
    images = ImageFiles(list_files(tmp_path, "train"), 48, color=False)
    original_read, batch_sizes = ImageFiles.read, []

    def read(self, rows, threads=1):
        batch_sizes.append(len(rows))
        return original_read(self, rows, threads)

    monkeypatch.setattr(ImageFiles, "read", read)
    duplicates = find_duplicates(images)
    assert batch_sizes == [1024, 776]
    assert (duplicates.exact == np.tile([0, 1, 2, 0, 4, 5, 6, 7, 8], 200)).all()
    assert (find_duplicates(images).groups == duplicates.groups).all()
    assert len(batch_sizes) == 2
    os.utime(tmp_path / "train" / "happy" / "0000.png", (0, 0))
    find_duplicates(ImageFiles(list_files(tmp_path, "train"), 48, color=False))
    assert len(batch_sizes) == 4
    on_disk = replace(data, images=images.subset(np.arange(9)))
    assert check_duplicates(on_disk, drop=False)[1] is None


def test_run_reports_what_it_dropped(fer_train, tmp_path, faces, capsys):
    from tiny import TINY

    path = tmp_path / "fer2013.csv"
    held_out = [*faces[60:99], moved(faces[7, :, :, 0], 1, 0)]
    rows = [("Training", face) for face in faces[:60]] + [("PublicTest", face) for face in held_out]
    text = [f"{i % 7},{' '.join(map(str, face.ravel()))},{usage}\n" for i, (usage, face) in enumerate(rows)]
    path.write_text("emotion,pixels,Usage\n" + "".join(text))
    overrides = (*TINY, "datamodule=fer2013", f"datamodule.path={path}")
    run = fer_train(*overrides, "datamodule.drop_leaks=true")
    assert run.status == 0
    assert f"dropped 1 image: {report.LEAKS}" in capsys.readouterr().out
    assert run.record["manifest"]["splits"]["train"]["count"] == 59
    result = json.loads((run.folder / "duplicates.json").read_text())
    assert result["groups"] == [{"kind": "near", "rows": [7, 99]}]


@pytest.mark.skipif(
    "FER_DATA_DIR" not in os.environ, reason="FER_DATA_DIR is not set to a folder with fer2013.csv"
)
def test_fer2013():
    from fer.data.readers.fer2013 import read_fer2013

    data = read_fer2013(Path(os.environ["FER_DATA_DIR"]) / "fer2013.csv")
    rows = np.flatnonzero(data.split < 2)
    result = duplicate_report(data, find_exact_duplicates(data.images[rows]))
    assert (result["exact"]["groups"], result["exact"]["surplus"]) == (1275, 1534)
