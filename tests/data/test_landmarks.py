"""Landmarks: files of them, and how they move with an augmented image."""

import numpy as np
import pytest
import torch

from fer.core.errors import FerError
from fer.data.augment import BatchAugmentation, affine_matrices
from fer.data.augment_config import AugmentationConfig
from fer.data.landmarks import move_landmarks, read_landmarks

# Left and right eye, nose, left and right corner of the mouth.
FACE = torch.tensor([[0.3, 0.4], [0.7, 0.35], [0.5, 0.55], [0.35, 0.75], [0.6, 0.7]])
COLUMNS = "x0,y0,x1,y1,x2,y2,x3,y3,x4,y4"


def matrix(*rows):
    return torch.tensor([rows], dtype=torch.float32)


def test_a_mirror_image_exchanges_left_and_right():
    moved = move_landmarks(FACE[None], matrix((-1, 0, 0), (0, 1, 0)))[0]
    expected = [[0.3, 0.35], [0.7, 0.4], [0.5, 0.55], [0.4, 0.7], [0.65, 0.75]]
    torch.testing.assert_close(moved, torch.tensor(expected))


def test_a_magnified_and_shifted_image_moves_its_landmarks():
    # The output shows the middle half of the input, a tenth of the side further right.
    moved = move_landmarks(FACE[None], matrix((0.5, 0, 0.2), (0, 0.5, 0)))[0]
    torch.testing.assert_close(moved, (FACE - torch.tensor([0.6, 0.5])) * 2 + 0.5)


def test_a_quarter_turn():
    # Output (x, y) is taken from the input at (-y, x), both from the centre.
    moved = move_landmarks(FACE[None], matrix((0, -1, 0), (1, 0, 0)))[0]
    torch.testing.assert_close(moved, torch.stack([FACE[:, 1], 1 - FACE[:, 0]], 1))


def test_landmarks_stay_on_the_pixels_that_they_mark():
    """Each point is drawn as a blob in a channel of its own, whose centre of mass is measured afterwards."""
    config = AugmentationConfig(flip=0.5, rotation=30, scale=0.2, translate=0.1, shear=10, crop=0.1)
    points = torch.rand(32, 5, 2, generator=torch.Generator().manual_seed(0)) * 0.4 + 0.3
    blobs = (blob(points, 96) * 255).round().to(torch.uint8)
    augment = BatchAugmentation(config)
    images, moved = augment.with_landmarks(blobs, points, 64, torch.Generator().manual_seed(3))
    assert torch.equal(images, augment(blobs, 64, torch.Generator().manual_seed(3)))
    draws = torch.rand(16, 32, generator=torch.Generator().manual_seed(3))
    mirrored = affine_matrices(config, draws[:9])[:, :, :2].det() < 0
    assert 5 < int(mirrored.sum()) < 27
    # The channels of a mirror image are not exchanged.
    moved = torch.where(mirrored[:, None, None], moved[:, [1, 0, 2, 4, 3]], moved)
    weights = images / images.sum((2, 3), keepdim=True)
    centers = (torch.arange(64) + 0.5) / 64
    measured = torch.stack([weights.sum(2) @ centers, weights.sum(3) @ centers], 2)
    is_inside = ((moved > 0.15) & (moved < 0.85)).all(2)
    assert is_inside.float().mean() > 0.9
    assert ((measured - moved).abs().amax(2) * 64)[is_inside].max() < 0.05


def blob(points, side):
    """Return Gaussians ``(B, 5, side, side)`` at points ``(B, 5, 2)``."""
    centers = torch.arange(side) + 0.5
    x, y = (points * side).unbind(2)
    columns, rows = ((centers - value[..., None]).square().div(-8).exp() for value in (x, y))
    return rows[..., None] * columns[..., None, :]


def test_faces_without_landmarks_have_none_afterwards():
    config = AugmentationConfig(flip=0.5, rotation=30)
    points = torch.stack([FACE, torch.full((5, 2), torch.nan)])
    images = torch.zeros(2, 1, 24, 24, dtype=torch.uint8)
    _, moved = BatchAugmentation(config).with_landmarks(images, points, 24)
    assert torch.isfinite(moved).all((1, 2)).tolist() == [True, False]


def test_without_geometry_landmarks_stay():
    images = torch.zeros(1, 1, 24, 24, dtype=torch.uint8)
    augment = BatchAugmentation(AugmentationConfig(contrast=0.5))
    assert torch.equal(augment.with_landmarks(images, FACE[None], 48)[1], FACE[None])


def test_files_of_both_kinds_are_read(tmp_path):
    values = np.stack([FACE.numpy().astype(np.float64)] * 2)
    np.save(tmp_path / "flat.npy", values.reshape(2, 10))
    np.save(tmp_path / "points.npy", values)
    row = ",".join(map(str, values[0].ravel()))
    (tmp_path / "points.csv").write_text(f"row, {COLUMNS.replace(',', ', ')}\n0,{row}\n1,{row}\n")
    for name in ("flat.npy", "points.npy", "points.csv"):
        points = read_landmarks(tmp_path / name, 2)
        assert points.dtype == np.float32
        np.testing.assert_allclose(points, values, atol=1e-6)


def test_a_row_without_all_points_is_a_face_without_landmarks(tmp_path):
    row = "0.3,0.4,0.7,0.4,0.5,0.6,0.4,0.7,0.6,0.7"
    (tmp_path / "a.csv").write_text(f"{COLUMNS}\n{row}\n,,,,,,,,,\n{row[:-3]}\n")
    points = read_landmarks(tmp_path / "a.csv", 3)
    assert np.isfinite(points).all((1, 2)).tolist() == [True, False, False]
    assert np.isnan(points[1:]).all()


WRONG = {
    "none.csv": (
        None,
        r"expected yunet, or a file with five points per row.*got '.*none.csv' \(no such file\)",
    ),
    "short.csv": (f"{COLUMNS}\n{'0.5,' * 9}0.5\n", "expected a row for each of the 2 images .* got 1"),
    "columns.csv": ("x0,y0\n1,2\n", "expected the columns x0,y0,x1.*, got none called 'x1'"),
    "text.csv": (f"{COLUMNS}\n{'0.5,' * 9}high\n", "text.csv, line 2: expected a number, got 'high'"),
    "pixels.csv": (
        f"{COLUMNS}\n" + f"{'24,' * 9}24\n" * 2,
        "expected fractions .* got 24 to 24. Divide pixels",
    ),
    "empty.csv": (f"{COLUMNS}\n" + ",,,,,,,,,\n" * 2, "got no row with all points"),
    "shape.npy": (
        np.zeros((2, 68, 2)),
        r"expected an array \(N, 5, 2\) or \(N, 10\).* got float64 \(2, 68, 2\)",
    ),
    "objects.npy": (b"\x80nothing", "expected a CSV or NumPy file"),
    "other.npy": (np.zeros((7, 5, 2)), "expected a row for each of the 2 images of the data set, got 7"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_named(name, tmp_path):
    content, message = WRONG[name]
    path = tmp_path / name
    if isinstance(content, str):
        path.write_text(content)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content)
    with pytest.raises(FerError, match=message) as caught:
        read_landmarks(path, 2)
    assert str(caught.value).startswith("datamodule.landmarks: ")
    assert "\n" not in str(caught.value)
