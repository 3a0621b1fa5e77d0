"""Detectors on synthetic faces with known positions."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer.core.errors import FerError
from fer.data.synthetic import face_at, render_face
from fer.faces.detectors import Haar, WholeImage, choose_detector
from fer.faces.yunet import YuNet

MODEL = os.environ.get("FER_YUNET_MODEL", "")
needs_yunet = pytest.mark.skipif(not MODEL, reason="FER_YUNET_MODEL is not set to YuNet's file")


def framed_face(position, size=160, frame=320):
    """Return a synthetic face in the middle of a larger image, and its landmarks."""
    image, points = render_face(face_at(0, 0, position, 0.0)[0], size)
    border = (frame - size) // 2
    return cv2.copyMakeBorder(image, *[border] * 4, cv2.BORDER_REPLICATE), points + 0.5 + border


FRAMED_FACES = [framed_face(position) for position in range(20)]


def inside_box(points, face):
    left, top, width, height = face.box
    return ((points >= (left, top)) & (points <= (left + width, top + height))).all(1)


WITHOUT_CASCADES = """
import sys
import cv2
del cv2.CascadeClassifier, cv2.FaceDetectorYN
sys.modules["cv2.data"] = None
import fer.app.cli, fer.faces.yunet, fer.predict.predictor, fer.predict.video.reader
from fer.faces.detectors import choose_detector
choose_detector("none")
try:
    choose_detector("haar")
except ValueError as error:
    print(error)
"""


def test_only_haar_needs_opencv_4():
    result = subprocess.run([sys.executable, "-c", WITHOUT_CASCADES], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    assert "model file): expected OpenCV 4, got OpenCV" in result.stdout


def test_haar_boxes_contain_the_landmarks():
    haar = Haar()
    results = [(haar(image), points) for image, points in FRAMED_FACES]
    hits = [inside_box(points, faces[0]).all() for faces, points in results if faces]
    assert len(hits) >= 17
    assert np.mean(hits) > 0.9
    assert all(0 < face.score < 1 and face.points is None for faces, _ in results for face in faces)


def test_haar_finds_no_face_in_uniform_images():
    for image in (np.zeros((300, 200, 3)), np.full((480, 640, 3), 200)):
        assert Haar()(image.astype(np.uint8)) == []


EXTREME_SHAPES = [(1, 1), (1, 20_000), (20_000, 1), (2, 3), (30, 4000)]


@pytest.mark.parametrize("shape", EXTREME_SHAPES)
def test_haar_on_extreme_shapes(shape):
    assert Haar()(np.full((*shape, 3), 99, np.uint8)) == []


@needs_yunet
@pytest.mark.parametrize("shape", EXTREME_SHAPES)
def test_yunet_on_extreme_shapes(shape):
    assert YuNet(MODEL)(np.full((*shape, 3), 99, np.uint8)) == []


@needs_yunet
@pytest.mark.parametrize("scale", [0.5, 1, 6])
def test_yunet_landmarks_are_accurate(scale):
    """At any size of the image, which is downscaled to 320 to 640 pixels."""
    yunet, errors, eye_distances = YuNet(MODEL), [], []
    for image, points in FRAMED_FACES[:10]:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        for face in yunet(image)[:1]:
            eye_distances.append(np.linalg.norm(points[1] - points[0]))
            errors.append(np.linalg.norm(face.points / scale - points, axis=1))
    assert len(errors) >= 9
    assert np.median(errors) < 0.15 * np.median(eye_distances)


@needs_yunet
def test_yunet_landmark_order_and_channel_order():
    image, _ = FRAMED_FACES[0]
    (face,) = YuNet(MODEL)(image)
    assert face.points[0, 0] < face.points[1, 0]
    rows = cv2.FaceDetectorYN.create(MODEL, "", (320, 320), 0.6).detect(
        np.ascontiguousarray(image[..., ::-1])
    )[1]
    np.testing.assert_allclose(face.points.ravel(), rows[0, 4:14], atol=0.01)


@needs_yunet
def test_largest_first():
    small, large = (framed_face(position, size, 320)[0] for position, size in ((0, 90), (1, 200)))
    boxes = [face.box for face in YuNet(MODEL)(np.hstack([small, large]))]
    assert len(boxes) == 2
    assert boxes[0][0] > 320 > boxes[1][0]


@pytest.mark.parametrize("name", ["haar", pytest.param("yunet", marks=needs_yunet)])
def test_detectors_are_thread_safe(name):
    detector = choose_detector(name)
    images = [image for image, _ in FRAMED_FACES[:8]] * 2
    expected = [[face.box for face in detector(image)] for image in images]
    with ThreadPoolExecutor(4) as pool:
        assert [[face.box for face in faces] for faces in pool.map(detector, images)] == expected


def test_whole_image():
    (face,) = WholeImage()(np.zeros((30, 50, 3), np.uint8))
    assert face.box == (0, 0, 50, 30)
    assert face.points is None


@pytest.fixture
def no_yunet_file(monkeypatch, tmp_path):
    """YuNet's file is neither configured nor in the cache."""
    monkeypatch.delenv("FER_YUNET_MODEL", raising=False)
    monkeypatch.setenv("FER_CACHE_DIR", str(tmp_path))


@pytest.mark.usefixtures("no_yunet_file")
def test_auto_is_haar_without_a_file():
    assert choose_detector().name == "haar"
    assert choose_detector("none").name == "none"


@needs_yunet
@pytest.mark.usefixtures("no_yunet_file")
def test_auto_is_yunet_with_a_file(monkeypatch):
    assert choose_detector("auto", MODEL).name == "yunet"
    monkeypatch.setenv("FER_YUNET_MODEL", MODEL)
    assert choose_detector().name == "yunet"


@pytest.mark.usefixtures("no_yunet_file")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("yunnet",), "Did you mean 'yunet'"),
        (("haar", "file.onnx"), "takes no file"),
        (("yunet", "missing.onnx"), "missing.onnx"),
        (("auto", "missing.onnx"), "missing.onnx"),
    ],
)
def test_invalid_choices(arguments, message):
    with pytest.raises(FerError, match=message):
        choose_detector(*arguments)


def test_other_files_are_refused_as_yunet(tmp_path):
    for content in (b"", b"no network", bytes(5000)):
        Path(tmp_path / "other.onnx").write_bytes(content)
        with pytest.raises(FerError, match=r"other\.onnx: expected the face detector YuNet"):
            choose_detector("yunet", tmp_path / "other.onnx")


def test_mtcnn_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "facenet_pytorch", None)
    with pytest.raises(FerError, match="extra 'faces'"):
        choose_detector("mtcnn")
