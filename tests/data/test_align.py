"""Faces that are aligned by their landmarks when a data set is read."""

import os
from dataclasses import replace

import cv2
import numpy as np
import pytest

from fer.core.errors import FerError
from fer.core.landmarks import ALIGNED
from fer.data import align
from fer.data.align import align_faces
from fer.data.datamodule import EmotionDataModule
from fer.data.readers.factory import read_dataset
from fer.data.splits import manifest

SYNTHETIC = {"name": "synthetic", "num_train": 70, "num_val": 35, "num_test": 7}
needs_yunet = pytest.mark.skipif("FER_YUNET_MODEL" not in os.environ, reason="FER_YUNET_MODEL is not set")


@pytest.fixture
def faces():
    return read_dataset(SYNTHETIC)


@pytest.fixture
def turned(faces):
    """Landmarks of faces at half an angle between 0 and 30 degrees, smaller and off the centre."""
    angles = np.linspace(0, 0.5, len(faces))
    turn = np.exp(1j * angles)[:, None]
    points = (np.array(ALIGNED) @ (1, 1j) - 0.5 - 0.5j) * turn * 0.8 + 0.55 + 0.5j
    return np.stack([points.real, points.imag], 2).astype(np.float32)


@pytest.fixture
def file(tmp_path, turned):
    np.save(tmp_path / "points.npy", turned)
    return str(tmp_path / "points.npy")


def test_landmarks_are_where_they_are_in_all_aligned_faces(faces, file):
    aligned = align_faces(faces, file)
    np.testing.assert_allclose(aligned.landmarks, np.broadcast_to(ALIGNED, (len(faces), 5, 2)), atol=1e-5)


def test_pixels_move_with_the_landmarks(faces, turned, file):
    """A disc at each landmark is at the aligned position afterwards."""
    images = np.zeros((len(faces), 192, 192, 1), np.uint8)
    for image, points in zip(images, turned, strict=True):
        for x, y in points * 192 * 16:
            cv2.circle(image, (round(x - 8), round(y - 8)), 4 * 16, 255, -1, shift=4)
    moved = align_faces(replace(faces, images=images), file).images.astype(np.float64)
    centers = (np.arange(192) + 0.5) / 192
    for x, y in ALIGNED:
        near = (np.abs(centers - x) < 0.06), (np.abs(centers - y) < 0.06)
        part = moved[:, near[1]][:, :, near[0], 0]
        total = part.sum((1, 2))
        np.testing.assert_allclose(part.sum(1) @ centers[near[0]] / total, x, atol=0.5 / 192)
        np.testing.assert_allclose(part.sum(2) @ centers[near[1]] / total, y, atol=0.5 / 192)


def test_a_face_without_landmarks_or_with_impossible_ones_stays(faces, tmp_path, turned):
    turned[0] = np.nan
    # Ten times smaller than a face: something else was found.
    turned[1] = turned[1] * 0.1 + 0.4
    turned[2] = 0.5
    np.save(tmp_path / "points.npy", turned)
    aligned = align_faces(faces, str(tmp_path / "points.npy"))
    assert np.isnan(aligned.landmarks[:3]).all()
    assert np.array_equal(aligned.images[:3], faces.images[:3])
    assert np.isfinite(aligned.landmarks[3:]).all()


def test_nothing_changes_without_the_option(faces):
    assert align_faces(faces, None) is faces
    assert "landmarks" not in manifest(faces)


def test_the_manifest_identifies_the_landmarks(faces, file):
    aligned = align_faces(faces, file)
    record = manifest(aligned)
    assert record["landmarks"]["faces"] == len(faces)
    other = replace(aligned, landmarks=aligned.landmarks + 0.01)
    assert manifest(other)["landmarks"]["sha256"] != record["landmarks"]["sha256"]
    splits = record["splits"], manifest(faces)["splits"]
    assert splits[0]["train"]["pixels_sha256"] != splits[1]["train"]["pixels_sha256"]


def test_training_batches_have_landmarks_that_move_with_the_augmentation(file):
    module = EmotionDataModule(
        "synthetic", num_train=70, num_val=35, num_test=7, landmarks=file, batch_size=10,
        augmentation={"flip": 1.0},
    )  # fmt: skip
    batch = next(iter(module.train_dataloader()))
    expected = np.array(ALIGNED, np.float32)
    np.testing.assert_allclose(batch["landmarks"].numpy(), np.tile(expected, (10, 1, 1)), atol=1e-5)
    assert "landmarks" not in next(iter(module.val_dataloader()))


def test_the_sources_of_several_sets_are_aligned_alone(file, tmp_path):
    sources = [{**SYNTHETIC, "landmarks": file}, {**SYNTHETIC, "seed": 1}]
    data = read_dataset({"name": "concat", "sources": sources})
    found = np.isfinite(data.landmarks).all((1, 2))
    assert found[: len(data) // 2].all()
    assert not found[len(data) // 2 :].any()


def test_a_list_of_names_is_matched_by_name(tmp_path):
    rows = ["image,x0,y0,x1,y1,x2,y2,x3,y3,x4,y4"]
    for number, emotion in enumerate(["happy", "sad"] * 10):
        folder = tmp_path / "set" / "train" / emotion
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{number}.png"), np.full((48, 48), number * 10, np.uint8))
        name, points = f"train/{emotion}/{number}.png", np.array(ALIGNED) + number / 1000
        rows.append(",".join([name, *map(str, points.ravel())]))
    config = {"name": "folder", "path": str(tmp_path / "set"), "val_fraction": 0.2}
    config["landmarks"] = str(tmp_path / "points.csv")
    (tmp_path / "points.csv").write_text("\n".join([rows[0], *rows[:0:-2]]) + "\n")
    data = read_dataset(config)
    assert int(np.isfinite(data.landmarks).all((1, 2)).sum()) == 10
    (tmp_path / "points.csv").write_text("\n".join([*rows, rows[1].replace("0.png", "20.png")]) + "\n")
    with pytest.raises(FerError, match=r"expected images of the data set, such as train/happy/0.png, got "):
        read_dataset(config)


def test_images_that_stay_on_disk_are_refused(tmp_path):
    folder = tmp_path / "set" / "train" / "happy"
    folder.mkdir(parents=True)
    for number in range(4):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((48, 48), number * 50, np.uint8))
    (folder.parent / "sad").mkdir()
    for number in range(4):
        cv2.imwrite(
            str(folder.parent / "sad" / f"{number}.png"), np.full((48, 48), 20 + number * 50, np.uint8)
        )
    config = {"name": "folder", "path": str(tmp_path / "set"), "memory_gb": 0, "landmarks": "yunet"}
    with pytest.raises(FerError, match="expected a data set in memory, got 8 image files"):
        read_dataset({**config, "val_fraction": 0.25})


@needs_yunet
def test_yunet_searches_once(monkeypatch, tmp_path, faces, capsys):
    monkeypatch.setenv("FER_CACHE_DIR", str(tmp_path))
    few = faces.take(np.arange(20))
    aligned = align_faces(few, "yunet")
    assert np.isfinite(aligned.landmarks).all((1, 2)).mean() > 0.6
    assert "Finding landmarks of 20 faces" in capsys.readouterr().out
    monkeypatch.setattr(align, "_find", None)
    again = align_faces(few, "yunet")
    assert np.array_equal(again.images, aligned.images)
    # A damaged entry is found again, and other images have an entry of their own.
    (entry,) = tmp_path.glob("landmarks-*.npy")
    entry.write_bytes(b"damaged")
    for images in (few, faces.take(np.arange(5))):
        with pytest.raises(TypeError):
            align_faces(images, "yunet")


def test_without_yunet_the_message_says_what_to_do(monkeypatch, faces, tmp_path):
    monkeypatch.setenv("FER_YUNET_MODEL", str(tmp_path / "none.onnx"))
    with pytest.raises(FerError, match=r"^datamodule.landmarks=yunet: .*none.onnx: .*Set FER_YUNET_MODEL"):
        align_faces(faces, "yunet")
