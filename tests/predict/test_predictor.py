"""`Predictor` with a model of colours, whose probabilities are known."""

import io
import itertools
import json
import multiprocessing
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import tiny_bundle
from color_bundle import PatchDetector, expected, patches, write_bundle
from PIL import Image

import fer
from fer.bundle import registry
from fer.bundle.files import Bundle, read_bundle
from fer.bundle.registry import Registry
from fer.core.errors import FerError
from fer.core.labels import FER7
from fer.predict.predictor import Predictor, with_threshold

RED, GREEN, BLUE, BLACK, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0), (90, 90, 90)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("models") / "colours")


@pytest.fixture(scope="module")
def predictor(folder):
    return Predictor(folder, PatchDetector(), threads=2)


def test_each_face_gets_the_probabilities_of_its_colour(predictor):
    predictions = predictor(patches(RED, None, GREY, BLUE))
    assert [prediction.face.box[0] for prediction in predictions] == [0, 64, 96]
    for prediction, colour in zip(predictions, (RED, GREY, BLUE), strict=True):
        assert list(prediction.probabilities) == list(FER7.names)
        assert list(prediction.probabilities.values()) == pytest.approx(expected(colour), abs=1e-6)
        assert prediction.confidence == max(prediction.probabilities.values())
    assert [prediction.label for prediction in predictions] == ["angry", "neutral", "sad"]


def test_uncertain_is_below_the_threshold_of_the_card(predictor, tmp_path):
    assert [prediction.uncertain for prediction in predictor(patches(RED, GREY, BLACK))] == [
        False,
        True,
        False,
    ]
    without_threshold = Predictor(write_bundle(tmp_path / "m", abstain_below=None), PatchDetector())
    assert without_threshold(patches(RED))[0].uncertain
    card = replace(without_threshold.card, export={"calibration": None})
    uncalibrated = Predictor(Bundle(tmp_path / "m", card), PatchDetector())
    assert not uncalibrated(patches(GREY))[0].uncertain


def test_the_threshold_can_be_chosen(folder, predictor):
    image = patches(RED, GREY)
    confidences = [prediction.confidence for prediction in predictor(image)]
    strict = Predictor(folder, PatchDetector(), threshold=1.0)
    assert strict.uncertain_below == 1.0
    assert strict.card.uncertain_below == predictor.card.uncertain_below
    assert [prediction.uncertain for prediction in strict(image)] == [value < 1 for value in confidences]
    lenient = Predictor(folder, PatchDetector(), threshold=0)
    assert not any(prediction.uncertain for prediction in lenient(image))
    changed = with_threshold(predictor(image), 1.0)
    assert as_values(changed) == as_values(strict(image))
    assert not any(prediction.uncertain for prediction in with_threshold(changed, None))
    assert pickle.loads(pickle.dumps(strict)).uncertain_below == 1.0
    with pytest.raises(FerError, match=r"threshold: expected a confidence between 0 and 1, got 60"):
        Predictor(folder, PatchDetector(), threshold=60)


def test_images_may_be_paths_bytes_arrays_or_pillow(predictor, tmp_path):
    array = patches(GREEN, BLACK)
    image, path, content = Image.fromarray(array), tmp_path / "two.png", io.BytesIO()
    image.save(path)
    image.save(content, "PNG")
    expected_values = [prediction.to_dict() for prediction in predictor(array)]
    for source in (image, path, str(path), content.getvalue()):
        assert [prediction.to_dict() for prediction in predictor(source)] == expected_values


def as_values(predictions):
    return [prediction.to_dict() for prediction in predictions]


def test_a_predictor_can_be_sent_to_other_processes(folder, tmp_path, monkeypatch):
    """It is pickled as the absolute folder of its bundle and its options, also if the path was relative."""
    monkeypatch.chdir(folder.parent)
    predictor = Predictor("colours/", PatchDetector(), threads=2)
    images = [patches(RED, GREY), patches(BLUE)]
    monkeypatch.chdir(tmp_path)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        results = list(pool.map(predictor, images))
    assert [as_values(result) for result in results] == [as_values(predictor(image)) for image in images]
    copied = pickle.loads(pickle.dumps(predictor))
    assert (copied.threads, copied.card, copied.classifier.card) == (2, predictor.card, predictor.card)


@pytest.mark.parametrize("detector", ["auto", "haar", "none"])
def test_the_detectors_can_be_pickled(folder, detector):
    predictor = Predictor(folder, detector)
    copied = pickle.loads(pickle.dumps(predictor))
    assert copied.detector.name == predictor.detector.name
    image = patches(RED, GREY)
    assert as_values(copied(image)) == as_values(predictor(image))


def test_a_pickled_predictor_refuses_another_model(tmp_path):
    pickled = pickle.dumps(Predictor(write_bundle(tmp_path / "m"), PatchDetector()))
    tiny_bundle.write_bundle(tmp_path / "m", seed=1)
    with pytest.raises(FerError, match=r"expected the model that was pickled.*Create the Predictor again"):
        pickle.loads(pickled)
    shutil.rmtree(tmp_path / "m")
    with pytest.raises(FerError, match="expected a bundle"):
        pickle.loads(pickled)


def test_no_face_is_an_empty_list(predictor):
    assert predictor(patches(None)) == []
    assert list(predictor.predict_many([])) == []
    assert list(predictor.predict_many([patches(None)] * 3)) == [[], [], []]


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_many_images_keep_their_order(predictor, batch_size):
    rng = np.random.default_rng(0)
    colours = [RED, GREEN, BLUE, BLACK, GREY, None]
    images = [patches(*(colours[i] for i in rng.integers(0, 6, rng.integers(1, 5)))) for _ in range(40)]
    results = list(predictor.predict_many(iter(images), batch_size))
    for predictions, image in zip(results, images, strict=True):
        for prediction, alone in zip(predictions, predictor(image), strict=True):
            assert prediction.face.box == alone.face.box
            assert prediction.probabilities == pytest.approx(alone.probabilities, abs=1e-6)


def test_an_unreadable_image_does_not_stop_the_others(predictor, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8 cut off")
    sources = [patches(RED), tmp_path / "bad.jpg", patches(BLUE), tmp_path / "absent.png", b""]
    first, bad, second, absent, empty = predictor.predict_many(sources, batch_size=2)
    assert [first[0].label, second[0].label] == ["angry", "sad"]
    assert all(isinstance(error, FerError) for error in (bad, absent, empty))
    assert "bad.jpg" in str(bad)
    with pytest.raises(FerError, match=r"absent\.png"):
        predictor(tmp_path / "absent.png")


def test_images_are_consumed_lazily(predictor):
    taken = itertools.count()
    endless = (patches(RED) for _ in taken)
    results = predictor.predict_many(endless, batch_size=4)
    assert [next(results)[0].label for _ in range(10)] == ["angry"] * 10
    results.close()
    assert next(taken) <= 12 + 2 * 4 + 1


def test_threads_give_the_same_predictions(predictor):
    rng = np.random.default_rng(1)
    images = [patches(*map(tuple, rng.integers(0, 255, (3, 3)))) for _ in range(64)]
    alone = [[prediction.to_dict() for prediction in predictor(image)] for image in images]
    with ThreadPoolExecutor(8) as pool:
        together = [
            [prediction.to_dict() for prediction in results] for results in pool.map(predictor, images)
        ]
    assert together == alone


def test_a_prediction_as_json_and_repr(predictor):
    (prediction,) = predictor(patches(None, RED))
    content = json.loads(json.dumps(prediction.to_dict()))
    assert content["box"] == [32, 0, 32, 32]
    assert content["points"] is None
    assert content["label"] == "angry"
    assert sum(content["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert repr(prediction) == "<angry 98 %, face of 32 x 32 pixels at (32, 0)>"
    assert not prediction.tiny


def test_a_bundle_is_found_by_folder_or_name_or_default(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "ZOO", tmp_path / "nothing")
    with pytest.raises(FerError, match="No model comes with"):
        Predictor(detector=PatchDetector())
    monkeypatch.setattr(registry, "ZOO", folder.parent)
    for model in (None, "colours", folder, str(folder), read_bundle(folder)):
        assert Predictor(model, PatchDetector()).card.name == "colours"
    with pytest.raises(FerError, match="Did you mean 'colours'"):
        Predictor("colors", PatchDetector())


def test_a_version_of_the_registry_is_found_by_name(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        Registry(tmp_path / "models").register(read_bundle(folder))
    assert Predictor("colours", PatchDetector()).card.version == 2
    assert Predictor("colours:1", PatchDetector()).card.version == 1
    with pytest.raises(FerError, match="no version '7'"):
        Predictor("colours:7", PatchDetector())


def test_a_changed_model_is_an_error(tmp_path):
    folder = write_bundle(tmp_path / "m")
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(FerError, match="SHA-256"):
        Predictor(folder, PatchDetector())


def test_predictor_is_exported_by_the_package():
    assert fer.Predictor is Predictor
    with pytest.raises(AttributeError, match="Predicter"):
        fer.Predicter  # noqa: B018


HEAVY = "{'torch', 'pytorch_lightning', 'hydra', 'wandb', 'matplotlib', 'rich', 'scipy', 'facenet_pytorch'}"


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import fer", "{'cv2', 'onnxruntime', 'PIL', 'numpy'}"),
        ("from fer import Predictor", HEAVY),
        ("import fer.predict.cli; fer.predict.cli.parser()", "{'cv2', 'onnxruntime', 'numpy'}"),
        ("import fer.predict.sources, fer.predict.annotate, fer.predict.video.run", HEAVY),
    ],
)
def test_unneeded_modules_are_not_imported(code, absent):
    code = f"import sys; {code}; print(sorted({absent} & set(sys.modules)))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"
