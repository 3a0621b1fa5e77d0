"""Detectors on drawn faces, whose places are known."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer.data.synthetic import face_at, render_face
from fer.errors import FerError
from fer.faces.choose import choose_detector
from fer.faces.haar import Haar
from fer.faces.whole import WholePicture
from fer.faces.yunet import YuNet

MODEL = os.environ.get("FER_YUNET_MODEL", "")
needs_yunet = pytest.mark.skipif(not MODEL, reason="FER_YUNET_MODEL names no file of YuNet")


def scene(place, size=160, frame=320):
    """Return a drawn face in the middle of a larger picture, and its points."""
    picture, points = render_face(face_at(0, 0, place, 0.0)[0], size)
    border = (frame - size) // 2
    return cv2.copyMakeBorder(picture, *[border] * 4, cv2.BORDER_REPLICATE), points + 0.5 + border


SCENES = [scene(place) for place in range(20)]


def lies_within(points, face):
    left, top, width, height = face.box
    return ((points >= (left, top)) & (points <= (left + width, top + height))).all(1)


def test_haar_boxes_hold_the_features():
    haar = Haar()
    found = [(haar(picture), points) for picture, points in SCENES]
    hits = [lies_within(points, faces[0]).all() for faces, points in found if faces]
    assert len(hits) >= 17
    assert np.mean(hits) > 0.9
    assert all(0 < face.score < 1 and face.points is None for faces, _ in found for face in faces)


def test_nothing_in_nothing():
    for picture in (np.zeros((300, 200, 3)), np.full((480, 640, 3), 200)):
        assert Haar()(picture.astype(np.uint8)) == []


STRANGE = [(1, 1), (1, 20_000), (20_000, 1), (2, 3), (30, 4000)]


@pytest.mark.parametrize("shape", STRANGE)
def test_haar_on_strange_shapes(shape):
    assert Haar()(np.full((*shape, 3), 99, np.uint8)) == []


@needs_yunet
@pytest.mark.parametrize("shape", STRANGE)
def test_yunet_on_strange_shapes(shape):
    assert YuNet(MODEL)(np.full((*shape, 3), 99, np.uint8)) == []


@needs_yunet
@pytest.mark.parametrize("scale", [0.5, 1, 6])
def test_yunet_points_lie_on_the_features(scale):
    """At any size of the picture, which it looks at from 320 to 640 pixels."""
    yunet, gaps, eyes = YuNet(MODEL), [], []
    for picture, points in SCENES[:10]:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        for face in yunet(picture)[:1]:
            eyes.append(np.linalg.norm(points[1] - points[0]))
            gaps.append(np.linalg.norm(face.points / scale - points, axis=1))
    assert len(gaps) >= 9
    assert np.median(gaps) < 0.15 * np.median(eyes)


@needs_yunet
def test_yunet_tells_right_from_left_and_red_from_blue():
    picture, _ = SCENES[0]
    (face,) = YuNet(MODEL)(picture)
    assert face.points[0, 0] < face.points[1, 0]
    rows = cv2.FaceDetectorYN.create(MODEL, "", (320, 320), 0.6).detect(
        np.ascontiguousarray(picture[..., ::-1])
    )[1]
    np.testing.assert_allclose(face.points.ravel(), rows[0, 4:14], atol=0.01)


@needs_yunet
def test_largest_first():
    small, large = (scene(place, size, 320)[0] for place, size in ((0, 90), (1, 200)))
    boxes = [face.box for face in YuNet(MODEL)(np.hstack([small, large]))]
    assert len(boxes) == 2
    assert boxes[0][0] > 320 > boxes[1][0]


@pytest.mark.parametrize("name", ["haar", pytest.param("yunet", marks=needs_yunet)])
def test_threads_agree(name):
    detector = choose_detector(name)
    pictures = [picture for picture, _ in SCENES[:8]] * 2
    alone = [[face.box for face in detector(picture)] for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        assert [[face.box for face in faces] for faces in pool.map(detector, pictures)] == alone


def test_whole_picture():
    (face,) = WholePicture()(np.zeros((30, 50, 3), np.uint8))
    assert face.box == (0, 0, 50, 30)
    assert face.points is None


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """No file of YuNet anywhere."""
    monkeypatch.delenv("FER_YUNET_MODEL", raising=False)
    monkeypatch.setenv("FER_CACHE_DIR", str(tmp_path))


@pytest.mark.usefixtures("bare")
def test_auto_is_haar_without_a_file():
    assert choose_detector().name == "haar"
    assert choose_detector("none").name == "none"


@needs_yunet
@pytest.mark.usefixtures("bare")
def test_auto_is_yunet_with_a_file(monkeypatch):
    assert choose_detector("auto", MODEL).name == "yunet"
    monkeypatch.setenv("FER_YUNET_MODEL", MODEL)
    assert choose_detector().name == "yunet"


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("yunnet",), "Did you mean 'yunet'"),
        (("haar", "file.onnx"), "takes no file"),
        (("yunet", "absent.onnx"), "absent.onnx"),
        (("auto", "absent.onnx"), "absent.onnx"),
    ],
)
def test_what_cannot_be_chosen(words, message):
    with pytest.raises(FerError, match=message):
        choose_detector(*words)


def test_other_files_are_no_yunet(tmp_path):
    for content in (b"", b"no network", bytes(5000)):
        Path(tmp_path / "other.onnx").write_bytes(content)
        with pytest.raises(FerError, match=r"other\.onnx: expected the face detector YuNet"):
            choose_detector("yunet", tmp_path / "other.onnx")


def test_mtcnn_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "facenet_pytorch", None)
    with pytest.raises(FerError, match="extra 'faces'"):
        choose_detector("mtcnn")
