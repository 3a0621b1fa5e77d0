"""Photographs: faces are detected and cropped, and a missed face is a wrong answer."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from foreign_file import expected_probs, write_foreign, write_spec
from untrained_run import write_run

from fer.analysis.metrics.classification import accuracy_estimate, confusion_counts
from fer.bundle.card import CALIBRATED_ON
from fer.bundle.registry import find_bundle
from fer.calibrate.images import read_labelled_faces
from fer.core.errors import FerError
from fer.evaluation.compare import compare
from fer.evaluation.evaluate import evaluate
from fer.evaluation.faces import NO_FACE
from fer.evaluation.ledger import History
from fer.evaluation.sections.protocol import warning_sections
from fer.faces.base import Face

pytestmark = pytest.mark.usefixtures("few_sections")
# Emotion -> photographs; the first of each has no face.
COUNTS = {"happy": 4, "sad": 3}
SIDE = 96


class BrightSquare:
    """Finds the bright square of a photograph as a face; none in a dark one. Two in the last one."""

    name = "yunet"

    def __call__(self, image):
        rows, columns = np.nonzero(image[..., 0] > 100)
        if not len(rows):
            return []
        left, top = columns.min(), rows.min()
        box = (left, top, np.ptp(columns) + 1, np.ptp(rows) + 1)
        small = [Face((0, 0, 10, 10), 0.95)] if image[0, 0, 2] else []
        return [Face(tuple(map(float, box)), 0.95), *small]


@pytest.fixture(autouse=True)
def detector(monkeypatch, tmp_path):
    monkeypatch.setattr("fer.evaluation.faces.choose_detector", lambda name: BrightSquare())
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def photographs(tmp_path):
    """Write photographs; return ``--data``."""
    for emotion, count in COUNTS.items():
        folder = tmp_path / "photos" / emotion
        folder.mkdir(parents=True)
        for number in range(count):
            image = np.zeros((SIDE, 2 * SIDE, 3), np.uint8)
            if number:
                # In BGR: red is bright.
                image[20:68, 30 + number : 78 + number] = (40, 90, 150 + 20 * number)
            image[0, 0, 0] = 255 * (number == count - 1)
            cv2.imwrite(str(folder / f"{number}.png"), image)
    return f"folder:{tmp_path / 'photos'}"


@pytest.fixture
def foreign(tmp_path):
    image = {"color": "rgb", "mean": 0.5, "std": 0.25}
    spec = write_spec(tmp_path / "model.yaml", input=image, crop={"box_scale": 0.5})
    return {"onnx": [write_foreign(tmp_path / "model.onnx", shape=("N", 3, 48, 48))], "spec": [spec]}


def test_faces_are_cropped_by_the_rule_of_the_model(photographs, foreign):
    report = evaluate(data=photographs, split="all", faces=True, **foreign)
    predictions = report.predictions
    assert predictions.source.tolist() == [
        f"{name}/{n}.png" for name, count in COUNTS.items() for n in range(count)
    ]
    assert predictions.about.spec["crop of faces"] == "box_scale 0.5, box_shift 0"
    assert predictions.about.epoch is None
    found = predictions.preds != predictions.labels.names.index(NO_FACE)
    assert found.tolist() == [False, True, True, True, False, True, True]
    # Half of the side of the box: the inside of the square.
    mean = np.array([(40 + 90 + 150 + 20 * number) / 3 for number in (1, 2, 3, 1, 2)])
    faces = np.broadcast_to(mean[:, None, None, None] / 255, (5, 48, 48, 3))
    np.testing.assert_allclose(predictions.probs[found, :7], expected_probs(faces * 255), atol=1e-4)


def test_a_missed_face_is_wrong_and_counted(photographs, foreign, tmp_path, capsys):
    report = evaluate(data=photographs, split="all", faces=True, **foreign)
    about, predictions = report.predictions.about, report.predictions
    expected = {"detector": "yunet", "photographs": 7, "missed": 2, "several": 2, "turned": 0}
    assert {key: value for key, value in about.faces.items() if key != "hashes"} == expected
    missed = predictions.preds == predictions.labels.names.index(NO_FACE)
    # An answer without confidence.
    np.testing.assert_allclose(predictions.probs[missed], 1 / 8, atol=1e-3)
    hits = int((predictions.preds == predictions.target).sum())
    assert report.metrics["accuracy"].value == pytest.approx(hits / 7)
    found = report.metrics["accuracy_of_found"]
    assert found.value == pytest.approx(hits / 5)
    # Resampled within each emotion, as that of all photographs.
    rows = ~missed
    counts = confusion_counts(predictions.target[rows], predictions.preds[rows], 8)
    assert found == accuracy_estimate(counts)
    assert "No face was detected in 2 of 7 photographs; they count as wrong answers." in report.warnings
    # It is no emotion: no scores, and no part of a mean.
    assert not any(NO_FACE in key or NO_FACE in one.note for key, one in report.metrics.items())
    assert report.folder.name.endswith("_all_faces")
    section = json.loads((report.folder / "metrics.json").read_text())["faces"]
    assert section["missed"] == 2
    text = (report.folder / "report.md").read_text()
    assert "Photographs with several faces: 2. The largest face was scored." in text
    assert "| happy | 4 | 1 |" in text


def test_a_model_that_was_calibrated_on_the_faces_is_recognised(photographs, monkeypatch):
    monkeypatch.setattr("fer.calibrate.images.MIN_IMAGES", 1)
    bundle = find_bundle("fer2013_48px")
    fitted = read_labelled_faces(bundle.card, photographs, detector=BrightSquare()).manifest
    report = evaluate("fer2013_48px", data=photographs, split="all", faces=True)
    about = report.predictions.about
    assert not any("were fitted to these images" in warning for warning in report.warnings)
    about = replace(about, trained_on={**about.trained_on, CALIBRATED_ON: fitted})
    (section,) = warning_sections(about, History(0, 0, 0, 0))
    assert any("were fitted to these images" in warning for warning in section.paragraphs)


def test_a_run_is_given_faces_in_gray(photographs, outputs, data):
    report = evaluate(write_run(outputs, data), data=photographs, split="all", faces=True)
    assert len(report.predictions) == 7
    assert report.metrics["missed_rate"].value == pytest.approx(2 / 7)


def test_grad_cam_leaves_out_missed_faces(photographs, outputs, data, all_sections):
    report = evaluate(write_run(outputs, data), data=photographs, split="all", faces=True)
    assert any(section.key == "gradcam" for section in report.sections)


def test_models_are_compared_on_photographs(photographs, foreign):
    comparison = compare(["fer2013_48px"], data=photographs, faces=True, with_speed=False, **foreign)
    assert comparison.rankings[0].images == 7
    warnings = next(section for section in comparison.sections if section.warning)
    assert "No face was detected in 2 of 7 photographs; they count as wrong answers." in warnings.paragraphs


def test_test_time_augmentation_does_not_find_missed_faces(photographs, foreign):
    report = evaluate(data=photographs, split="all", faces=True, tta="flip", **foreign)
    labels = report.predictions.labels.names
    assert (report.predictions.preds == labels.index(NO_FACE)).sum() == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"faces": True}, "--faces: expected --data with photographs, got none"),
        ({"detector": "haar"}, "--detector haar: expected --faces with it"),
    ],
)
def test_options_that_do_not_fit(photographs, options, message):
    options = {key: photographs if value == "PHOTOS" else value for key, value in options.items()}
    with pytest.raises(FerError, match=message):
        evaluate("fer2013_48px", **options)


def test_faces_need_photographs(fer2013_csv):
    with pytest.raises(FerError, match="expected --data with photographs, such as folder:DIR, got fer2013"):
        evaluate("fer2013_48px", data=f"fer2013:{fer2013_csv}", faces=True)


def test_an_unreadable_photograph_is_named(photographs, tmp_path):
    (tmp_path / "photos" / "happy" / "2.png").write_bytes(b"no image")
    with pytest.raises(FerError, match=r"happy/2\.png"):
        evaluate("fer2013_48px", data=photographs, split="all", faces=True)
